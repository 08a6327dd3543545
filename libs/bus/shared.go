package bus

import (
	"context"
	"sync"
)

// shared does the same read once for all who want it at the same time: a
// thousand readers that look for the end of one output ask NATS a few times.
// What a caller gets was read after it asked; a read that is under way already
// may be older than that, so the caller waits for the next.
type shared[T any] struct {
	mu    sync.Mutex
	reads map[string]*reads[T]
}

// reads are those of one key.
type reads[T any] struct {
	now  *read[T]
	next *read[T] // nil where nobody waits for it
}

type read[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns what from reads, or ctx's error. from gets a context of its own,
// that no caller ends, and so has to end by itself.
func (s *shared[T]) do(ctx context.Context, key string, from func(context.Context) (T, error)) (T, error) {
	r := s.join(key, from)
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (s *shared[T]) join(key string, from func(context.Context) (T, error)) *read[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.reads[key]
	switch {
	case r == nil:
		r = &reads[T]{now: newRead[T]()}
		if s.reads == nil {
			s.reads = map[string]*reads[T]{}
		}
		s.reads[key] = r
		go s.run(key, r, from)
		return r.now
	case r.next == nil:
		r.next = newRead[T]()
	}
	return r.next
}

func newRead[T any]() *read[T] { return &read[T]{done: make(chan struct{})} }

// run reads until nobody waits for the key any more.
func (s *shared[T]) run(key string, r *reads[T], from func(context.Context) (T, error)) {
	for now := r.now; now != nil; {
		now.value, now.err = from(context.Background())
		close(now.done)
		s.mu.Lock()
		r.now, r.next = r.next, nil
		if now = r.now; now == nil {
			delete(s.reads, key)
		}
		s.mu.Unlock()
	}
}
