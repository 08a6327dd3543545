package client

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAFrameThatWouldFillTheMemoryIsRefused(t *testing.T) {
	for name, text := range map[string]io.Reader{
		"one line":   strings.NewReader("data: " + strings.Repeat("x", maxFrame)),
		"many lines": strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", maxFrame/1000)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := newFrameReader(text).next(); !errors.Is(err, errLarge) {
				t.Errorf("error %v, want %v", err, errLarge)
			}
		})
	}
}

func FuzzFramesAreReadWithoutHarm(f *testing.F) {
	f.Add("id: 1\nevent: stdout\ndata: {}\n\n: comment\n\ndata\r\n\r\nid: 2\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		reader := newFrameReader(strings.NewReader(text))
		for {
			got, err := reader.next()
			if err != nil {
				return
			}
			if strings.ContainsAny(got.id+got.event, "\n") {
				t.Errorf("frame %+v holds the end of a line", got)
			}
			if _, err := parseOutput(got); err != nil && got.data == nil {
				continue
			}
		}
	})
}
