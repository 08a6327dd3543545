package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/redact"
)

// inPieces feeds a stream in pieces whose sizes next tells.
func inPieces(s *redact.Secrets, text string, next func() int) string {
	stream := s.Stream()
	var out strings.Builder
	for len(text) > 0 {
		n := min(len(text), max(1, next()))
		out.Write(stream.Feed([]byte(text[:n])))
		text = text[n:]
	}
	out.Write(stream.End())
	return out.String()
}

// unbroken is a text as whoever looks for what was broken into lines reads it.
func unbroken(text string) string { return strings.NewReplacer("\n", "", "\r", "").Replace(text) }

// FuzzPieces makes a stream of a few letters, in which values overlap and repeat,
// and checks that pieces make no difference and that no value is left.
func FuzzPieces(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, uint16(200), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, length uint16, sizes uint8) {
		r := rand.New(rand.NewPCG(seed, 0))
		letters := "abc\n"[:2+r.IntN(3)]
		values := map[string]string{}
		for i := range 1 + r.IntN(4) {
			values[fmt.Sprintf("V%d", i)] = word(r, letters, 3+r.IntN(12))
		}
		s := redact.New(values)
		var text strings.Builder
		for text.Len() < int(length) {
			text.WriteString(some(r, letters, values))
		}
		whole := s.Text(text.String())
		if got := inPieces(s, text.String(), func() int { return r.IntN(int(sizes) + 2) }); got != whole {
			t.Errorf("pieces make a difference for %q with %q:\n%q\n%q", text.String(), values, got, whole)
		}
		if s == nil {
			return
		}
		for name, value := range values {
			if strings.Contains(whole, value) {
				t.Errorf("%s=%q is left in %q, of %q", name, value, whole, text.String())
			}
			if len(value) < 4 {
				continue
			}
			for form, encoded := range map[string]string{
				"base64": base64.RawStdEncoding.EncodeToString([]byte(value)), "hexadecimal": hex.EncodeToString([]byte(value)),
			} {
				if strings.Contains(whole, encoded) {
					t.Errorf("the %s of %s=%q is left in %q, of %q", form, name, value, whole, text.String())
				}
			}
		}
	})
}

// some is a value, whole or in part, in some form, or just letters.
func some(r *rand.Rand, letters string, values map[string]string) string {
	value := values[fmt.Sprintf("V%d", r.IntN(len(values)))]
	switch r.IntN(8) {
	case 0, 1:
		return value
	case 2:
		return value[:r.IntN(len(value))]
	case 3:
		return value[r.IntN(len(value)):]
	case 4:
		return broken(base64.StdEncoding.EncodeToString([]byte(word(r, letters, r.IntN(3))+value)), 4+r.IntN(8), "\r\n")
	case 5:
		return hex.EncodeToString([]byte(value))
	case 6:
		return strings.Repeat(value[:1], r.IntN(6))
	}
	return word(r, letters, r.IntN(8))
}

func word(r *rand.Rand, letters string, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = letters[r.IntN(len(letters))]
	}
	return string(out)
}

func TestAFormThatIsBrokenIntoLinesIsFoundWhereverItIs(t *testing.T) {
	value := strings.Repeat("Zq8+", 20)
	s := redact.New(map[string]string{"T": value})
	for before := range 80 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + value + "yyy"))
		for width := 4; width < 80; width += 3 {
			for _, end := range []string{"\n", "\r\n"} {
				got := inPieces(s, broken(encoded, width, end), func() int { return 7 })
				// What is broken within its first characters has those left: less than minBroken.
				if left := unbroken(got); len(left) > len(encoded)-len(value)*4/3+len("[redacted:T]")+4 {
					t.Fatalf("%d bytes before, lines of %d: %q is left", before, width, got)
				}
			}
		}
	}
}

func TestASecretThatOverlapsWithItselfForEverTakesNoMemory(t *testing.T) {
	s := redact.New(map[string]string{"T": strings.Repeat("a", 64)}).Stream()
	piece := []byte(strings.Repeat("a", 4096))
	most := testing.AllocsPerRun(100, func() {
		for range 100 {
			if out := s.Feed(piece); len(out) > 0 {
				t.Fatalf("%q came out of the midst of a secret", out)
			}
		}
	})
	if most > 0 {
		t.Errorf("%v allocations for 400 KiB", most)
	}
	if got := string(s.End()); got != "[redacted:T]" {
		t.Errorf("at the end came %q", got)
	}
}

// BenchmarkStream masks 50 MiB in frames of 32 KiB.
func BenchmarkStream(b *testing.B) {
	logLine := "2026-03-01T12:00:00Z INFO  compiled package example.com/some/thing in 123ms (cached)\n"
	b64 := broken(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("anything at all", 1000))), 76, "\n")
	few := map[string]string{"TOKEN": "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "PASSWORD": "correct horse battery"}
	many := map[string]string{"PEM": pem}
	for i := range 50 {
		many[fmt.Sprintf("TOKEN_%d", i)] = fmt.Sprintf("ghp_%dC7e42F292c6912E7710c838347Ae178B4a", i)
	}
	for _, c := range []struct {
		name   string
		values map[string]string
		text   string
	}{
		{"none", nil, logLine},
		{"2 secrets/log", few, logLine},
		{"2 secrets/base64", few, b64},
		{"51 secrets/log", many, logLine},
		{"51 secrets/base64", many, b64},
		{"1 secret/nothing else", map[string]string{"T": "abcabcabd"}, "abcabcabd"},
		{"1 secret/nearly", map[string]string{"T": strings.Repeat("ab", 2000) + "c"}, "ab"},
		{"64 KiB/nearly", map[string]string{"T": strings.Repeat("a", 64<<10)}, strings.Repeat("a", 60<<10) + "b"},
	} {
		b.Run(c.name, func(b *testing.B) {
			frame := []byte(strings.Repeat(c.text, 1+(32<<10)/len(c.text))[:32<<10])
			secrets := redact.New(c.values)
			b.SetBytes(50 << 20)
			for b.Loop() {
				stream := secrets.Stream()
				for range (50 << 20) / len(frame) {
					stream.Feed(frame)
				}
				stream.End()
			}
		})
	}
}

// BenchmarkNew prepares a token and a key.
func BenchmarkNew(b *testing.B) {
	for name, value := range map[string]string{"a token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "64 KiB": strings.Repeat(pem, (64<<10)/len(pem))} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				redact.New(map[string]string{"T": value})
			}
		})
	}
}
