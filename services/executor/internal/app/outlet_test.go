package app_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// frameHead is what a frame takes in the spool beside its data, in bytes.
const frameHead = 24

// spool cuts two streams into frames, wherever chance has it.
func spool(r *rand.Rand, out, errs string, most int) []domain.Frame {
	var frames []domain.Frame
	left := map[domain.Stream]string{domain.Stdout: out, domain.Stderr: errs}
	offsets := map[domain.Stream]int64{}
	next := int64(0)
	for left[domain.Stdout] != "" || left[domain.Stderr] != "" {
		stream := domain.Stdout
		if left[stream] == "" || left[domain.Stderr] != "" && r.IntN(2) == 0 {
			stream = domain.Stderr
		}
		n := min(1+r.IntN(most), len(left[stream]))
		next += frameHead + int64(n)
		frames = append(frames, domain.Frame{Stream: stream, Data: []byte(left[stream][:n]), Offset: offsets[stream], Next: next})
		offsets[stream] += int64(n)
		left[stream] = left[stream][n:]
	}
	return frames
}

// carriedOut is what is stored of a run whose executors die after some chunks,
// that chance decides, and are replaced. Without r the first carries it out.
func carriedOut(t *testing.T, r *rand.Rand, some int, values map[string]string, frames []domain.Frame) *world {
	t.Helper()
	cmd := contract.Command{Shell: &contract.Shell{Script: "x"}}
	for name := range values {
		cmd.Credentials = append(cmd.Credentials, name)
	}
	w, e := newWorld(t, cmd, program{frames: frames, exit: domain.Exit{Known: true}})
	e.Settings.MaxOutput = 1 << 40
	w.vault = tells(values)
	for r != nil {
		w.mostChunks = len(w.chunks) + 1 + r.IntN(some)
		if err := w.execute(t, e); err == nil {
			return w
		} else if !errors.Is(err, errNoRoom) {
			t.Fatal(err)
		}
	}
	if err := w.execute(t, e); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWhateverFramesAndAttemptsThereAreTheOutputIsTheSame(t *testing.T) {
	values := map[string]string{"A": "hunter2hunter3", "B": "3 is the number", "C": "two\nlines of text"}
	pieces := []string{
		values["A"], values["B"], values["C"], "hunter", "hunter2hunter", "3 is", "two\n", "\n", " ", "plain text", "two\nlines of",
		"aHVudGVyMmh1\nbnRlcjM=", "68756e7465723268756e74657233",
	}
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		var text [2]strings.Builder
		for range 1 + r.IntN(30) {
			text[r.IntN(2)].WriteString(pieces[r.IntN(len(pieces))])
		}
		whole := carriedOut(t, nil, 0, values, spool(r, text[0].String(), text[1].String(), 1<<20))
		cut := carriedOut(t, r, 4, values, spool(r, text[0].String(), text[1].String(), 1+r.IntN(20)))
		for _, stream := range []string{contract.OutputStdout, contract.OutputStderr} {
			if cut.of(stream) != whole.of(stream) {
				t.Errorf("seed %d: %s is %q, in one go %q", seed, stream, cut.of(stream), whole.of(stream))
			}
			for name, value := range values {
				if strings.Contains(cut.of(stream), value) {
					t.Errorf("seed %d: %s is left in %q", seed, name, cut.of(stream))
				}
			}
		}
		last := int64(0)
		for _, c := range cut.chunks {
			if c.Cursor <= last {
				t.Errorf("seed %d: cursor %d after %d", seed, c.Cursor, last)
			}
			last = c.Cursor
		}
	}
}

func TestMuchThatIsHeldBackComesOutInChunksThatFit(t *testing.T) {
	short := strings.Repeat("S", 128)
	values := map[string]string{"LONG": strings.Repeat("abc", 10<<10) + "end", short: "abc"}
	text := strings.Repeat("abc", 9<<10) + "?" + strings.Repeat("abc", 9<<10)
	want := strings.ReplaceAll(text, "abc", "[redacted:"+short+"]")
	r := rand.New(rand.NewPCG(1, 1))
	w := carriedOut(t, r, 20, values, spool(r, text, "", 9000))
	if got := w.of(contract.OutputStdout); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	for _, c := range w.chunks {
		if len(c.Data) > contract.MaxChunk {
			t.Errorf("a chunk of %d bytes", len(c.Data))
		}
	}
}
