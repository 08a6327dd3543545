package app

import (
	"fmt"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// streamsAgain is after how long to ask again for a stream that was refused: there
// is no telling when another ends.
const streamsAgain = 5 * time.Second

// Streams counts the streams that are open on this gateway.
type Streams struct {
	perKey, all int // 0 is without limit

	mu    sync.Mutex
	open  int
	byKey map[string]int
}

// NewStreams allows so many streams at a time, of each key and in all.
func NewStreams(perKey, all int) *Streams {
	return &Streams{perKey: perKey, all: all, byKey: map[string]int{}}
}

// Open counts a stream of a key until done is called, or refuses it with
// RATE_LIMITED.
func (s *Streams) Open(key string) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.perKey > 0 && s.byKey[key] >= s.perKey:
		return nil, &contract.Error{
			Code: contract.CodeRateLimited, RetryAfter: streamsAgain,
			Detail: fmt.Sprintf("this API key has %d streams open here, which is all that it may; close one", s.perKey),
		}
	case s.all > 0 && s.open >= s.all:
		return nil, &contract.Error{
			Code: contract.CodeRateLimited, RetryAfter: streamsAgain,
			Detail: fmt.Sprintf("this gateway has %d streams open, which is all that it takes; ask again, of another if there is one", s.all),
		}
	}
	s.open++
	s.byKey[key]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.byKey[key]--; s.byKey[key] == 0 {
			delete(s.byKey, key)
		}
	}), nil
}

// Opened is how many streams are open.
func (s *Streams) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}
