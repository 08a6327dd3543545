package redact

import "slices"

// minBroken is the least of a form that is looked for across the end of a line,
// in bytes of it before the end. Without it the last character of most lines
// would be held back until the next. Of a form that is broken earlier only the
// rest is masked.
const minBroken = 4

// maxLineEnd is the most that is taken for one end of a line within a form.
const maxLineEnd = len("\r\n")

// Stream masks a stream that comes in pieces.
//
// Which bytes are masked, and by what, depends on the bytes of the stream alone,
// never on where pieces end: a byte is masked where it belongs to any form of any
// secret, and what overlaps has one mask, that of the form which begins first.
//
// Held back is only what a form could begin with or go on from: the end of the
// input that is the start of a form, and what overlaps with it. So there is never
// more than the longest form (and its line ends) less one byte, and mostly
// nothing. What has been given out is final.
type Stream struct {
	secrets *Secrets
	exact   int32 // states of the automatons
	wrapped int32

	at     int64   // bytes so far
	held   []byte  // the last of them, which are not given out yet
	finds  []find  // among them, in order; they do not overlap
	breaks []int64 // where line ends are in what wrapped has read, in order
	floor  int64   // wrapped finds nothing before
	ends   int     // bytes of line ends just before
	masked bool
	out    []byte
}

// find is a piece of the stream that is to be masked.
type find struct {
	start, end int64
	secret     int16
}

// Feed takes the next piece and returns what is certain by now, valid until the
// next call. A nil stream returns the piece.
func (t *Stream) Feed(piece []byte) []byte {
	if t == nil {
		return piece
	}
	t.held = append(t.held, piece...)
	for _, b := range piece {
		t.at++
		if t.exact|t.wrapped == 0 && t.secrets.idle[b] {
			continue
		}
		t.readExact(b)
		t.readWrapped(b)
	}
	return t.release(min(t.at-int64(t.secrets.exact.nodes[t.exact].depth), t.pendingWrapped()))
}

// End returns what was held back, and starts anew.
func (t *Stream) End() []byte {
	if t == nil {
		return nil
	}
	t.exact, t.wrapped, t.breaks, t.ends = 0, 0, t.breaks[:0], 0
	return t.release(t.at)
}

// Masked tells whether a secret was found.
func (t *Stream) Masked() bool { return t != nil && t.masked }

func (t *Stream) readExact(b byte) {
	t.exact = t.secrets.exact.step(t.exact, b)
	if node := t.secrets.exact.nodes[t.exact]; node.match > 0 {
		t.found(find{start: t.at - int64(node.match), end: t.at, secret: node.secret})
		t.exact = t.secrets.exact.open(t.exact)
	}
}

func (t *Stream) readWrapped(b byte) {
	if b == '\n' || b == '\r' {
		t.breakLine()
		return
	}
	t.ends = 0
	t.wrapped = t.secrets.wrapped.step(t.wrapped, b)
	if node := t.secrets.wrapped.nodes[t.wrapped]; node.match > 0 {
		t.found(find{start: t.back(node.match), end: t.at, secret: node.secret})
		t.wrapped = t.secrets.wrapped.open(t.wrapped)
	}
	if t.wrapped == 0 {
		t.breaks = t.breaks[:0]
	}
}

// breakLine passes over the end of a line. An empty line is in no form.
func (t *Stream) breakLine() {
	if t.wrapped == 0 {
		return
	}
	t.ends++
	switch {
	case t.ends > maxLineEnd:
		t.wrapped, t.breaks = 0, t.breaks[:0]
	case t.secrets.wrapped.nodes[t.wrapped].depth < minBroken:
		t.floor, t.breaks = t.at, t.breaks[:0]
	default:
		t.forget()
		t.breaks = append(t.breaks, t.at-1)
	}
}

// forget drops the line ends before the form that wrapped reads.
func (t *Stream) forget() {
	start := t.pendingWrapped()
	first, _ := slices.BinarySearch(t.breaks, start)
	t.breaks = t.breaks[:copy(t.breaks, t.breaks[first:])]
}

// back is where the last n bytes begin that wrapped has read, no earlier than
// floor.
func (t *Stream) back(n int32) int64 {
	start := t.at - int64(n)
	for i := len(t.breaks) - 1; i >= 0 && t.breaks[i] >= start; i-- {
		start--
	}
	return max(start, t.floor)
}

// pendingWrapped is where a form may have begun that wrapped has not read to its
// end.
func (t *Stream) pendingWrapped() int64 {
	depth := t.secrets.wrapped.nodes[t.wrapped].depth
	if depth == 0 {
		return t.at
	}
	return t.back(depth)
}

// found notes a find that ends here. It swallows those that it overlaps with.
func (t *Stream) found(f find) {
	t.masked = true
	for n := len(t.finds); n > 0 && t.finds[n-1].end > f.start; n-- {
		if last := t.finds[n-1]; last.start < f.start {
			f.start, f.secret = last.start, last.secret
		}
		t.finds = t.finds[:n-1]
	}
	t.finds = append(t.finds, f)
}

// release gives out what comes before a place, which is not before that of the
// last call: every find that is still to come begins there or later. One that
// goes beyond it may grow; of that the bytes are dropped, as they will be masked
// in any case.
func (t *Stream) release(until int64) []byte {
	t.out = t.out[:0]
	base := t.at - int64(len(t.held)) // of the first byte that is held
	rest, finds := t.held, t.finds
	move := func(to int64) (passed []byte) {
		n := max(0, to-base)
		passed, rest, base = rest[:n], rest[n:], base+n
		return passed
	}
	for len(finds) > 0 && finds[0].start < until {
		next := finds[0]
		t.out = append(t.out, move(next.start)...)
		if next.end > until {
			break
		}
		move(next.end)
		t.out = append(t.out, t.secrets.masks[next.secret]...)
		finds = finds[1:]
	}
	passed := move(until)
	if len(finds) == 0 || finds[0].start >= until {
		t.out = append(t.out, passed...)
	}
	t.held = t.held[:copy(t.held, rest)]
	t.finds = t.finds[:copy(t.finds, finds)]
	return t.out
}
