// Package wire is what rdev-runner and its callers say to each other: the
// frames of a spool, the specification of a run, and the replies.
package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// A spool is a sequence of frames, each a header and its payload; numbers are
// big endian. What attach sends is the same, with frames of its own in between.
//
//	0        1       2        4          8                16               24
//	+--------+-------+--------+----------+----------------+----------------+-----------+
//	| stream | magic | 0    0 | length   | unix time [ns] | stream offset  | payload…  |
//	+--------+-------+--------+----------+----------------+----------------+-----------+
//	                            of the                      bytes of this
//	                            payload                     stream before
//
// The position of a frame's first byte in the spool is a cursor.
const (
	// HeaderSize is the size of a frame's header in bytes.
	HeaderSize = 24
	// MaxPayload is the most that a frame carries in bytes.
	MaxPayload = 32 << 10

	magic = 0xf5
)

// Streams that only attach sends; they take no room in the spool.
const (
	// StreamEnd carries a Reply as JSON and is the last frame.
	StreamEnd domain.Stream = 0x7f
	// StreamBeat is empty: it keeps a connection alive, and tells the sender of
	// one that is not.
	StreamBeat domain.Stream = 0x7e
)

// ErrCorrupt is returned for bytes that are no frame.
var ErrCorrupt = errors.New("not a frame of a spool")

// Header is the head of a frame.
type Header struct {
	Stream domain.Stream
	Length int
	Time   time.Time
	Offset int64
}

// Put writes the header to the first HeaderSize bytes of b.
func (h Header) Put(b []byte) {
	b[0], b[1], b[2], b[3] = byte(h.Stream), magic, 0, 0
	binary.BigEndian.PutUint32(b[4:], uint32(h.Length))
	binary.BigEndian.PutUint64(b[8:], uint64(h.Time.UnixNano()))
	binary.BigEndian.PutUint64(b[16:], uint64(h.Offset))
}

// ParseHeader reads a header from the first HeaderSize bytes of b.
func ParseHeader(b []byte) (Header, error) {
	stream := domain.Stream(b[0])
	length := binary.BigEndian.Uint32(b[4:])
	offset := int64(binary.BigEndian.Uint64(b[16:]))
	switch stream {
	case domain.Stdout, domain.Stderr, StreamEnd, StreamBeat:
	default:
		return Header{}, ErrCorrupt
	}
	if b[1] != magic || b[2] != 0 || b[3] != 0 || length > MaxPayload || offset < 0 {
		return Header{}, ErrCorrupt
	}
	return Header{
		Stream: stream,
		Length: int(length),
		Time:   time.Unix(0, int64(binary.BigEndian.Uint64(b[8:]))),
		Offset: offset,
	}, nil
}

// Reader reads the frames that attach sends.
type Reader struct {
	in   *bufio.Reader
	next int64
}

// NewReader reads frames from in, the first of which is at position from of the
// spool.
func NewReader(in io.Reader, from int64) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, HeaderSize+MaxPayload), next: from}
}

// Next returns the next frame of output, or the reply that ends them. The error
// is io.EOF or io.ErrUnexpectedEOF where the connection was cut, and wraps
// ErrCorrupt where something else than frames arrived.
func (r *Reader) Next() (domain.Frame, *Reply, error) {
	for {
		var head [HeaderSize]byte
		if _, err := io.ReadFull(r.in, head[:]); err != nil {
			return domain.Frame{}, nil, err
		}
		header, err := ParseHeader(head[:])
		if err != nil {
			return domain.Frame{}, nil, fmt.Errorf("read spool at %d: %w", r.next, err)
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(r.in, payload); err != nil {
			return domain.Frame{}, nil, io.ErrUnexpectedEOF
		}
		switch header.Stream {
		case StreamBeat:
			continue
		case StreamEnd:
			var reply Reply
			if err := json.Unmarshal(payload, &reply); err != nil {
				return domain.Frame{}, nil, fmt.Errorf("read end of spool: %w: %w", ErrCorrupt, err)
			}
			return domain.Frame{}, &reply, nil
		}
		r.next += int64(HeaderSize + header.Length)
		return domain.Frame{
			Stream: header.Stream, Time: header.Time, Data: payload, Offset: header.Offset, Next: r.next,
		}, nil, nil
	}
}
