package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// Writer sends a stream of bytes as frames of standard output, so that its end can be
// told from that of a connection that was cut.
type Writer struct {
	out   io.Writer
	frame []byte // room for the header, and what was not sent yet
	sent  int64
}

// NewWriter sends nothing yet.
func NewWriter(out io.Writer) *Writer {
	return &Writer{out: out, frame: make([]byte, HeaderSize, HeaderSize+MaxPayload)}
}

// Write implements io.Writer.
func (w *Writer) Write(data []byte) (int, error) {
	written := 0
	for len(data) > 0 {
		n := min(len(data), cap(w.frame)-len(w.frame))
		w.frame = append(w.frame, data[:n]...)
		data, written = data[n:], written+n
		if len(w.frame) == cap(w.frame) {
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (w *Writer) flush() error {
	length := len(w.frame) - HeaderSize
	if length == 0 {
		return nil
	}
	Header{Stream: domain.Stdout, Length: length, Time: time.Now(), Offset: w.sent}.Put(w.frame)
	_, err := w.out.Write(w.frame)
	w.frame, w.sent = w.frame[:HeaderSize], w.sent+int64(length)
	return err
}

// End says that the stream is whole. Nothing is written after it.
func (w *Writer) End() error {
	if err := w.flush(); err != nil {
		return err
	}
	return SendEnd(w.out, Reply{})
}

// SendEnd sends the last frame.
func SendEnd(out io.Writer, reply Reply) error {
	if len(reply.Message) > MaxPayload/8 {
		reply.Message = reply.Message[:MaxPayload/8]
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	frame := make([]byte, HeaderSize, HeaderSize+len(text))
	Header{Stream: StreamEnd, Length: len(text), Time: time.Now()}.Put(frame)
	_, err = out.Write(append(frame, text...))
	return err
}

// ErrNotWhole is returned in place of the end of a stream that its sender gave up.
var ErrNotWhole = errors.New("the stream is not whole")

// Body reads the bytes that a Writer sent. Their end is io.EOF only where the Writer
// said it: that of a connection is io.ErrUnexpectedEOF, and that of a sender which had to
// give up ErrNotWhole.
type Body struct {
	frames *Reader
	rest   []byte
	end    *Reply
	err    error
}

// NewBody reads frames from in.
func NewBody(in io.Reader) *Body { return &Body{frames: NewReader(in, 0)} }

// Read implements io.Reader.
func (b *Body) Read(data []byte) (int, error) {
	for len(b.rest) == 0 && b.err == nil {
		b.next()
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(data, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *Body) next() {
	frame, end, err := b.frames.Next()
	switch {
	case errors.Is(err, io.EOF):
		b.err = io.ErrUnexpectedEOF
	case err != nil:
		b.err = err
	case end == nil:
		b.rest = frame.Data
	case end.Fault != "":
		b.end, b.err = end, fmt.Errorf("%w: %s", ErrNotWhole, end.Message)
	default:
		b.end, b.err = end, io.EOF
	}
}

// End is what the sender said last, nil where that was not read.
func (b *Body) End() *Reply { return b.end }

// Err is why nothing more was read; nil while something may be, io.EOF after the end.
func (b *Body) Err() error { return b.err }
