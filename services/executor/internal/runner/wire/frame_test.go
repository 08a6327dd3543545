package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

func encode(stream domain.Stream, at time.Time, offset int64, data string) []byte {
	frame := make([]byte, wire.HeaderSize, wire.HeaderSize+len(data))
	wire.Header{Stream: stream, Length: len(data), Time: at, Offset: offset}.Put(frame)
	return append(frame, data...)
}

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	at := time.Unix(1700000000, 123456789)
	status := wire.Status{Known: true, Code: 3}
	end, err := json.Marshal(wire.Reply{Status: &status})
	if err != nil {
		t.Fatal(err)
	}
	var spool []byte
	spool = append(spool, encode(domain.Stdout, at, 0, "one\n")...)
	spool = append(spool, encode(wire.StreamBeat, at, 0, "")...)
	spool = append(spool, encode(domain.Stderr, at, 7, "\x00\xff")...)
	spool = append(spool, encode(wire.StreamEnd, at, 0, string(end))...)
	reader := wire.NewReader(bytes.NewReader(spool), 100)
	for _, want := range []domain.Frame{
		{Stream: domain.Stdout, Time: at, Data: []byte("one\n"), Offset: 0, Next: 128},
		{Stream: domain.Stderr, Time: at, Data: []byte("\x00\xff"), Offset: 7, Next: 154},
	} {
		got, reply, err := reader.Next()
		if err != nil || reply != nil {
			t.Fatalf("Next = %v, %v", reply, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("frame (-want +got):\n%s", diff)
		}
	}
	_, reply, err := reader.Next()
	if err != nil || reply == nil || cmp.Diff(&status, reply.Status) != "" {
		t.Errorf("end = %+v, %v", reply, err)
	}
	if _, _, err := reader.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, want io.EOF", err)
	}
}

func TestACutFrameIsNoFrame(t *testing.T) {
	frame := encode(domain.Stdout, time.Unix(0, 1), 0, "hello")
	for n := range frame {
		_, reply, err := wire.NewReader(bytes.NewReader(frame[:n]), 0).Next()
		if reply != nil || (!errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)) {
			t.Errorf("%d bytes of a frame: %v, %v", n, reply, err)
		}
	}
}

func FuzzReaderTakesAnything(f *testing.F) {
	f.Add([]byte{})
	f.Add(encode(domain.Stdout, time.Unix(0, 1), 0, "hello"))
	f.Add(encode(wire.StreamEnd, time.Unix(0, 1), 0, `{"status":{}}`))
	f.Add(bytes.Repeat([]byte{0xff}, wire.HeaderSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := wire.NewReader(bytes.NewReader(data), 0)
		total := 0
		for {
			frame, reply, err := reader.Next()
			if err != nil || reply != nil {
				return
			}
			if len(frame.Data) > wire.MaxPayload || cap(frame.Data) > 2*wire.MaxPayload {
				t.Fatalf("a frame of %d bytes", cap(frame.Data))
			}
			if total += wire.HeaderSize + len(frame.Data); int64(total) > frame.Next || total > len(data) {
				t.Fatalf("%d bytes of frames out of %d", total, len(data))
			}
			again := append(make([]byte, wire.HeaderSize), frame.Data...)
			wire.Header{Stream: frame.Stream, Length: len(frame.Data), Time: frame.Time, Offset: frame.Offset}.Put(again)
			if from := frame.Next - int64(len(again)); from >= 0 && !bytes.Contains(data, again) {
				t.Fatalf("frame at %d is written in another way", from)
			}
		}
	})
}
