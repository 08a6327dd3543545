package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

func TestAStreamThatWasCutAnywhereIsNotWhole(t *testing.T) {
	data := []byte(strings.Repeat("0123456789abcdef", wire.MaxPayload/8)) // two frames
	var sent bytes.Buffer
	w := wire.NewWriter(&sent)
	for _, piece := range [][]byte{data[:1], data[1:100], data[100:]} {
		if n, err := w.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	body := wire.NewBody(bytes.NewReader(sent.Bytes()))
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) || body.End() == nil || !errors.Is(body.Err(), io.EOF) {
		t.Errorf("%d bytes of %d, %v, end %v", len(got), len(data), err, body.End())
	}
	for n := 0; n < sent.Len(); n += 97 {
		body := wire.NewBody(bytes.NewReader(sent.Bytes()[:n]))
		got, err := io.ReadAll(body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(data, got) || body.End() != nil {
			t.Fatalf("cut at %d: %d bytes, %v", n, len(got), err)
		}
	}
}

func TestAStreamThatItsSenderGaveUpIsNotWhole(t *testing.T) {
	var sent bytes.Buffer
	w := wire.NewWriter(&sent)
	if _, err := w.Write(bytes.Repeat([]byte("x"), wire.MaxPayload+10)); err != nil {
		t.Fatal(err)
	}
	if err := wire.SendEnd(&sent, wire.Reply{Fault: wire.FaultFiles, Message: "the disk is broken"}); err != nil {
		t.Fatal(err)
	}
	body := wire.NewBody(&sent)
	got, err := io.ReadAll(body)
	if !errors.Is(err, wire.ErrNotWhole) || len(got) != wire.MaxPayload || body.End() == nil || body.End().Fault != wire.FaultFiles {
		t.Errorf("%d bytes, %v, end %+v", len(got), err, body.End())
	}
}

func TestAnEmptyStreamIsWhole(t *testing.T) {
	var sent bytes.Buffer
	if err := wire.NewWriter(&sent).End(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(wire.NewBody(&sent)); len(got) != 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
