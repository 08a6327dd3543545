package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxFrame bounds one frame of a stream: well above what the largest chunk of
// output needs in base64.
const maxFrame = 4 << 20

// errLarge ends a stream that will not get better by connecting again.
var errLarge = errors.New("a frame of the stream is too large")

// frame is one event of an event stream. One without data only moves the cursor.
type frame struct {
	id    string // "" where the frame carries none
	event string // "message" where the frame names none
	data  []byte // nil where the frame has no data
}

// frameReader reads text/event-stream. Comments, which are the heartbeats, are
// passed over, and a frame that was cut short is never returned.
type frameReader struct {
	lines *bufio.Reader
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{lines: bufio.NewReaderSize(r, 64<<10)}
}

// next is the next whole frame, or io.EOF where the stream ends.
func (r *frameReader) next() (frame, error) {
	current := frame{event: "message"}
	var data [][]byte // its lines
	size := 0
	for {
		line, err := r.line(maxFrame - size)
		if err != nil {
			return frame{}, err
		}
		size += len(line)
		if len(line) == 0 {
			if data == nil && current.id == "" { // nothing to dispatch
				current, size = frame{event: "message"}, 0
				continue
			}
			if data != nil {
				current.data = bytes.Join(data, []byte("\n"))
			}
			return current, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			data = append(data, value)
		case "event":
			current.event = string(value)
		case "id":
			if !strings.ContainsRune(string(value), 0) {
				current.id = string(value)
			}
		}
	}
}

// line is the next line without its end; CRLF and LF both end one. What follows
// the last end is no line.
func (r *frameReader) line(limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errLarge
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
		case err != bufio.ErrBufferFull: //nolint:errorlint // ReadSlice returns it as it is
			return nil, err
		}
	}
}
