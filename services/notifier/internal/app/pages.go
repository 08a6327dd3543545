package app

import (
	"context"
	"sync"
)

const (
	// pageOf is how many sequences are read of the log at a time, for all endpoints
	// that are behind: those that missed the same read it once.
	pageOf   = 256
	maxPages = 64
)

// pages are what was read of the log lately.
type pages struct {
	read  func(ctx context.Context, after, upTo uint64) ([]*Event, error)
	spawn func(func()) // runs what is waited for in the end

	mu    sync.Mutex
	known map[uint64]*page // by number
	order []uint64         // the oldest first
}

// page is the events of pageOf sequences. One that was not told to its end when it
// was read is read again by whoever comes later.
type page struct {
	done   chan struct{}
	events []*Event
	upTo   uint64
	err    error
}

// after returns the events of the page that follows a sequence, as far as they were
// told, and up to where that is. The page after it is read meanwhile.
func (p *pages) after(ctx context.Context, seq, told uint64) ([]*Event, uint64, error) {
	if seq >= told {
		return nil, seq, nil
	}
	number := seq / pageOf
	one := p.get(ctx, number, told)
	if (number+2)*pageOf <= told {
		p.get(ctx, number+1, told)
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		return nil, seq, context.Cause(ctx)
	}
	if one.err != nil {
		return nil, seq, one.err
	}
	events := one.events
	for len(events) > 0 && events[0].Seq <= seq {
		events = events[1:]
	}
	return events, one.upTo, nil
}

// get is a page as far as it was told, which may still be read.
func (p *pages) get(ctx context.Context, number, told uint64) *page {
	last := min((number+1)*pageOf, told)
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.known[number]; one != nil && one.upTo >= last {
		return one
	}
	one := &page{done: make(chan struct{}), upTo: last}
	p.keep(number, one)
	p.spawn(func() {
		one.events, one.err = p.read(ctx, number*pageOf, last)
		close(one.done)
		if one.err != nil {
			p.forget(number, one)
		}
	})
	return one
}

func (p *pages) keep(number uint64, one *page) {
	if p.known == nil {
		p.known = map[uint64]*page{}
	}
	if p.known[number] == nil {
		p.order = append(p.order, number)
	}
	p.known[number] = one
	if len(p.order) > maxPages {
		delete(p.known, p.order[0])
		p.order = p.order[1:]
	}
}

// forget lets the next one try again what could not be read.
func (p *pages) forget(number uint64, one *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[number] == one {
		one.upTo = 0
	}
}
