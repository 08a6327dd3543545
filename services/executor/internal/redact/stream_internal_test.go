package redact

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestNoMoreIsKeptThanTheLongestForm(t *testing.T) {
	value := strings.Repeat("a", 300)
	s := New(map[string]string{"T": value}).Stream()
	longest := 2 * len(value) // hexadecimal
	line := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", 57))) + "\n"
	for _, text := range []string{line, "a", "YWFhYWFh\n", "6161\r\n", value + "b"} {
		for range 10_000 {
			s.Feed([]byte(text))
			if held, breaks := len(s.held), len(s.breaks); held > 2*longest || breaks > longest {
				t.Fatalf("%d bytes and %d line ends are kept after many of %q", held, breaks, text)
			}
		}
	}
}
