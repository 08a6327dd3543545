package bus

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestASharedReadIsDoneOnceForAllAndNeverBeforeOneAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[int64]
		var stored, asked atomic.Int64
		from := func(context.Context) (int64, error) {
			asked.Add(1)
			now := stored.Load()
			time.Sleep(10 * time.Millisecond) // the answer is on its way, and grows old
			return now, nil
		}
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
				before := stored.Add(1)
				got, err := s.do(t.Context(), "key", from)
				if err != nil || got < before {
					t.Errorf("got %d, %v, though %d was stored before it asked", got, err, before)
				}
			})
		}
		wg.Wait()
		if n := asked.Load(); n > 13 { // 110 ms, 10 ms each
			t.Errorf("read %d times", n)
		}
		synctest.Wait()
		if len(s.reads) != 0 {
			t.Errorf("%d keys are left", len(s.reads))
		}
	})
}

func TestACallerThatLeavesTakesNothingFromTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shared[string]
		answer := make(chan error)
		from := func(context.Context) (string, error) { return "it", <-answer }
		ctx, cancel := context.WithCancelCause(t.Context())
		left := make(chan error)
		go func() {
			_, err := s.do(ctx, "key", from)
			left <- err
		}()
		synctest.Wait()
		stayed := make(chan error)
		go func() {
			_, err := s.do(t.Context(), "key", from)
			stayed <- err
		}()
		synctest.Wait()
		gone, broken := errors.New("gone"), errors.New("broken")
		cancel(gone)
		if err := <-left; !errors.Is(err, gone) {
			t.Errorf("who left got %v", err)
		}
		answer <- nil
		answer <- broken
		if err := <-stayed; !errors.Is(err, broken) {
			t.Errorf("who stayed got %v, want the error of its own read", err)
		}
	})
}
