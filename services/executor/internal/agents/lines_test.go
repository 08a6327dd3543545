package agents

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// split feeds data in pieces of a size and returns what comes out, with "…" at
// the end of lines that were cut.
func split(data []byte, size, longest int) []string {
	splitter := lines{max: longest}
	var out []string
	keep := func(l line) {
		text := string(l.data)
		if l.cut {
			text += "…"
		}
		out = append(out, text)
	}
	for piece := range slices.Chunk(data, size) {
		for l := range splitter.add(piece) {
			keep(l)
		}
	}
	if l, ok := splitter.rest(); ok {
		keep(l)
	}
	return out
}

func TestLinesAreWholeWhereverPiecesEnd(t *testing.T) {
	for _, c := range []struct {
		data string
		want []string
	}{
		{"", nil},
		{"\n", []string{""}},
		{"one", []string{"one"}},
		{"one\n", []string{"one"}},
		{"one\ntwo\r\n\nthree", []string{"one", "two", "", "three"}},
		{"12345678\n123456789\nok", []string{"12345678", "12345678…", "ok"}},
		{"123456789", []string{"12345678…"}},
	} {
		for size := 1; size <= len(c.data)+1; size++ {
			if diff := cmp.Diff(c.want, split([]byte(c.data), size, 8)); diff != "" {
				t.Errorf("%q in pieces of %d (-want +got):\n%s", c.data, size, diff)
			}
		}
	}
}

func TestALineBeyondTheLimitIsCutAndTheNextIsWhole(t *testing.T) {
	p := claudeCode{}.NewParser()
	for range 17 {
		if events := p.Stdout(bytes.Repeat([]byte("x"), 1<<20), p.at); len(events) != 0 {
			t.Fatalf("%d events of a line without an end", len(events))
		}
	}
	events := p.Stdout([]byte("\n"+`{"type":"system","subtype":"status","status":"fine"}`+"\n"), p.at)
	if len(events) != 2 || events[0].Code != "line_too_long" || events[1].Message != "fine" {
		t.Errorf("got %d events: %+v", len(events), events)
	}
	if len(p.lines.pending) != 0 || cap(p.lines.pending) > keptRoom {
		t.Errorf("the splitter keeps %d bytes in room for %d", len(p.lines.pending), cap(p.lines.pending))
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\n"), 3, 5)
	f.Add([]byte(strings.Repeat("long", 9)+"\n\n"), 1, 4)
	f.Fuzz(func(t *testing.T, data []byte, size, longest int) {
		if size < 1 || longest < 1 {
			return
		}
		got := split(data, size, longest)
		if diff := cmp.Diff(split(data, len(data)+1, longest), got); diff != "" {
			t.Fatalf("in pieces of %d (-whole +pieces):\n%s", size, diff)
		}
		var want []string
		if len(data) > 0 {
			for text := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
				if len(text) > longest {
					want = append(want, strings.TrimSuffix(text[:longest], "\r")+"…")
				} else {
					want = append(want, strings.TrimSuffix(text, "\r"))
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("lines of %q (-want +got):\n%s", data, diff)
		}
	})
}

func TestWhatIsCutFitsAsJSON(t *testing.T) {
	for _, text := range []string{
		"plain", strings.Repeat("plain", 20), strings.Repeat("<&>", 20), strings.Repeat("\x00\x1b\xff", 20),
		strings.Repeat("\"\\\n", 20), strings.Repeat("日本語", 20), strings.Repeat("\u2028", 20), strings.Repeat("🙂", 20),
	} {
		for limit := 6; limit < 60; limit++ {
			short := cut(text, limit)
			if size := len(quote(short)) - 2; size > limit || !strings.HasPrefix(text, short) {
				t.Errorf("%q cut to %d is %q, %d bytes of JSON", text, limit, short, size)
			}
			if short == "" {
				t.Errorf("nothing of %q fits into %d", text, limit)
			}
		}
	}
}
