package supervise

import (
	"fmt"
	"os"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Spool appends frames to a file. After an error, or beyond its limit, it drops
// what it is given: the program is never kept waiting for room.
type Spool struct {
	file    *os.File
	limit   int64
	size    int64
	offsets [3]int64 // bytes of each stream so far
	dropped int64
	err     error
	buffer  [wire.HeaderSize + wire.MaxPayload]byte
}

// NewSpool appends to an empty file until it has a size in bytes.
func NewSpool(file *os.File, limit int64) *Spool {
	if limit <= 0 {
		limit = wire.DefaultSpoolLimit
	}
	return &Spool{file: file, limit: limit}
}

// Room is where the payload of the next frame goes.
func (s *Spool) Room() []byte { return s.buffer[wire.HeaderSize:] }

// Append stores the first n bytes of Room as a frame. It fails once: what comes
// after a frame that could not be stored is dropped.
func (s *Spool) Append(stream domain.Stream, n int) error {
	frame := s.buffer[:wire.HeaderSize+n]
	if s.err != nil || s.dropped > 0 || s.size+int64(len(frame)) > s.limit {
		s.dropped += int64(n)
		return nil //nolint:nilerr // it failed before, once
	}
	wire.Header{Stream: stream, Length: n, Time: time.Now(), Offset: s.offsets[stream]}.Put(frame)
	if _, err := s.file.Write(frame); err != nil {
		s.err = fmt.Errorf("store output: %w", err)
		s.dropped += int64(n)
		// Part of the frame may be there. A reader stops before it in any case.
		_ = s.file.Truncate(s.size)
		return s.err
	}
	s.size += int64(len(frame))
	s.offsets[stream] += int64(n)
	return nil
}

// Close waits until the spool is on the disk. It returns the number of bytes
// that were dropped and the first error.
func (s *Spool) Close() (dropped int64, err error) {
	err = s.err
	if syncErr := s.file.Sync(); err == nil && syncErr != nil {
		err = fmt.Errorf("store output: %w", syncErr)
	}
	if closeErr := s.file.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("store output: %w", closeErr)
	}
	return s.dropped, err
}
