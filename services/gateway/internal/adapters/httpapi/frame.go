package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// timeoutStalled ends a stream whose client does not read.
const timeoutStalled = 30 * time.Second

// frame is one message of a stream, over SSE as over WebSocket.
type frame struct {
	ID    uint64          `json:"id,omitempty"` // cursor, 0 for none
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// sender sends frames to one client. Its error ends the stream.
type sender interface {
	send(frame) error
	beat() error
}

// frames makes frames of what a follower sees.
type frames struct {
	to        sender
	operation string
	chunks    *madeFrames // of RDEV_OUTPUT
	states    *madeFrames // of RDEV_EVENTS
}

// textData is the data of a stdout or stderr frame.
type textData struct {
	Offset   int64  `json:"offset"`
	Data     string `json:"data"`
	Encoding string `json:"encoding,omitempty"` // base64 where the bytes are no UTF-8
}

func (f frames) Chunk(c contract.Chunk) error {
	made, err := f.chunks.of(f.operation, c.Seq, func() (frame, error) { return encodeChunk(c) })
	if err != nil {
		return err
	}
	return f.to.send(made)
}

func (f frames) State(op *contract.Operation) error {
	made, err := f.states.of(op.ID, op.Seq, func() (frame, error) { return encodeFrame(0, "state", view(*op)) })
	if err != nil {
		return err
	}
	return f.to.send(made)
}

// madeFrames remembers the last frames that were made of what a stream of NATS
// holds: where a thousand clients read one output, each chunk and each state is
// encoded once and not a thousand times. The nil madeFrames remembers nothing.
type madeFrames struct {
	slots [512]atomic.Pointer[madeFrame] // by sequence
}

type madeFrame struct {
	frame
	seq       uint64
	operation string
}

// maxRemembered is the size from which a frame is not remembered: 4 MiB in all.
const maxRemembered = 8 << 10

func (m *madeFrames) of(operation string, seq uint64, encode func() (frame, error)) (frame, error) {
	if m == nil {
		return encode()
	}
	slot := &m.slots[seq%uint64(len(m.slots))]
	if known := slot.Load(); known != nil && known.seq == seq && known.operation == operation {
		return known.frame, nil
	}
	made, err := encode()
	if err == nil && len(made.Data) <= maxRemembered {
		slot.Store(&madeFrame{made, seq, operation})
	}
	return made, err
}

func encodeChunk(c contract.Chunk) (frame, error) {
	if c.Stream == contract.OutputAgent {
		return encodeFrame(c.Seq, c.Stream, rawJSON(c.Data))
	}
	return encodeFrame(c.Seq, c.Stream, textOf(c))
}

func textOf(c contract.Chunk) textData {
	text := textData{Offset: c.Offset, Data: string(c.Data)}
	if !utf8.Valid(c.Data) {
		text.Data, text.Encoding = base64.StdEncoding.EncodeToString(c.Data), "base64"
	}
	return text
}

// gapData is the data of a gap frame: the sequences of what is gone, both included.
type gapData struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

func (f frames) Gap(_ string, from, to uint64) error {
	return f.send(0, "gap", gapData{from, to})
}

func (f frames) Idle() error { return f.to.beat() }

func (f frames) End(op *contract.Operation) error { return f.send(0, "end", view(*op)) }

func (f frames) problem(p *contract.Error) error { return f.send(0, "error", p) }

func (f frames) send(id uint64, event string, data any) error {
	made, err := encodeFrame(id, event, data)
	if err != nil {
		return err
	}
	return f.to.send(made)
}

func encodeFrame(id uint64, event string, data any) (frame, error) {
	body, err := json.Marshal(data)
	if err != nil {
		return frame{}, fmt.Errorf("encode %s frame: %w", event, err)
	}
	return frame{ID: id, Event: event, Data: body}, nil
}

// rawJSON is what somebody stored as JSON; what is none is shown as a string.
func rawJSON(data []byte) json.RawMessage {
	if json.Valid(data) {
		return data
	}
	text, _ := json.Marshal(string(data)) // a string
	return text
}

// sse sends frames as server-sent events.
type sse struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  []byte
}

func newSSE(w http.ResponseWriter) *sse {
	s := &sse{w: w, control: http.NewResponseController(w)}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // a proxy in between must not gather
	w.WriteHeader(http.StatusOK)
	_ = s.control.Flush() // the first frame finds out
	return s
}

func (s *sse) send(f frame) error {
	b := s.buffer[:0]
	if f.ID > 0 {
		b = append(b, "id: "...)
		b = strconv.AppendUint(b, f.ID, 10)
		b = append(b, '\n')
	}
	b = append(append(append(b, "event: "...), f.Event...), '\n')
	// Marshaled JSON has no line breaks.
	b = append(append(append(b, "data: "...), f.Data...), "\n\n"...)
	err := s.write(b)
	if cap(b) <= 16<<10 { // a reader of many small frames should not hold the room of the largest
		s.buffer = b
	}
	return err
}

// mark tells the client where it is without telling it anything else.
func (s *sse) mark(cursor uint64) error {
	return s.write(fmt.Appendf(nil, "id: %d\n\n", cursor))
}

func (s *sse) beat() error { return s.write([]byte(": alive\n\n")) }

func (s *sse) write(b []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(timeoutStalled)); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	if _, err := s.w.Write(b); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}
