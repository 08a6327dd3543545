package agents

import (
	"bytes"
	"iter"
)

// maxLine is the longest line that is kept whole, in bytes without its end.
const maxLine = 16 << 20

// keptRoom is how much room is kept for the next line, in bytes.
const keptRoom = 1 << 20

// line is a line of output without its end.
type line struct {
	data []byte // valid until the next call on the splitter
	cut  bool   // it was longer: the rest is lost
}

// lines makes lines of pieces that end anywhere.
type lines struct {
	max     int    // longest line that is kept whole
	pending []byte // of a line whose end is still to come, at most max bytes
	cut     bool   // bytes of it were dropped
}

// add takes a piece of output and yields the lines that it completes.
func (l *lines) add(piece []byte) iter.Seq[line] {
	return func(yield func(line) bool) {
		for {
			end := bytes.IndexByte(piece, '\n')
			if end < 0 {
				l.keep(piece)
				return
			}
			l.keep(piece[:end])
			piece = piece[end+1:]
			if whole, _ := l.rest(); !yield(whole) {
				return
			}
		}
	}
}

// rest is what came after the last line end, and starts anew. ok is false where
// there is nothing.
func (l *lines) rest() (whole line, ok bool) {
	whole = line{data: bytes.TrimSuffix(l.pending, []byte("\r")), cut: l.cut}
	ok = len(l.pending) > 0 || l.cut
	if l.cut = false; cap(l.pending) > keptRoom {
		l.pending = nil
	}
	l.pending = l.pending[:0]
	return whole, ok
}

func (l *lines) keep(piece []byte) {
	if room := l.max - len(l.pending); len(piece) > room {
		piece, l.cut = piece[:room], true
	}
	l.pending = append(l.pending, piece...)
}
