package app

import (
	"bytes"
	"iter"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

// outlet makes chunks of what a program prints to one stream, with its secrets
// masked. The spool, which lies in the run's own workspace with all else that the
// run may read, holds the bytes as they came; what leaves it here does not.
//
// The invariant is that each attempt makes the same chunks of the same spool, and
// each chunk has a cursor of its own, which grows. The mask reads every frame from
// the first, so what comes out with a frame depends on the frames up to it and on
// nothing else; a chunk's cursor lies within the frame with which it came out, or
// after the last for what the end of the run lets go. So a chunk is stored already
// if, and only if, its cursor is not beyond the last that is stored: nothing that
// was held back is lost, and nothing comes twice.
type outlet struct {
	name   string         // of the stream
	mask   *redact.Stream // nil where there is nothing to mask
	offset int64          // bytes of the stream so far, as they are passed on
	rest   []byte         // beyond what the cursors of one frame allow for
}

// maxPieces is how many chunks come out with one frame at most: a frame is longer
// than that in the spool, by its header alone.
const maxPieces = 16

// take makes chunks of a frame, which are valid until the next call.
func (o *outlet) take(f domain.Frame) iter.Seq[contract.Chunk] {
	data := o.mask.Feed(f.Data)
	if len(o.rest) > 0 {
		data = append(o.rest, data...)
	}
	if now := min(len(data), maxPieces*contract.MaxChunk); now < len(data) || len(o.rest) > 0 {
		data, o.rest = data[:now], bytes.Clone(data[now:])
	}
	return o.pieces(data, f.Next)
}

// end makes chunks of what was held back to the end of the run. next is the
// cursor after which theirs are.
func (o *outlet) end(next int64) iter.Seq[contract.Chunk] {
	data := append(o.rest, o.mask.End()...)
	o.rest = nil
	return o.pieces(data, next+int64(count(data)))
}

// count is the number of chunks that data takes.
func count(data []byte) int { return (len(data) + contract.MaxChunk - 1) / contract.MaxChunk }

// pieces cuts data into chunks, the last of which has a cursor.
func (o *outlet) pieces(data []byte, cursor int64) iter.Seq[contract.Chunk] {
	return func(yield func(contract.Chunk) bool) {
		for len(data) > 0 {
			piece := data[:min(len(data), contract.MaxChunk)]
			chunk := contract.Chunk{Stream: o.name, Offset: o.offset, Cursor: cursor - int64(count(data)) + 1, Data: piece}
			o.offset += int64(len(piece))
			data = data[len(piece):]
			if !yield(chunk) {
				return
			}
		}
	}
}
