package bus_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestEveryReaderOfABuildSeesAllChunksOnceInTheOrderOfTheStream(t *testing.T) {
	const steps, chunks, readers = 6, 150, 10
	for _, c := range []struct {
		name    string
		servers int
		lossy   bool // messages are lost on their way to the readers
	}{{"one server", 1, false}, {"messages are lost", 1, true}, {"three servers whose leader moves", 3, false}} {
		t.Run(c.name, func(t *testing.T) {
			nodes := testkit.NATSNodes(t, c.servers, contract.DefaultLease())
			writing := testkit.Connect(t, nodes.URL(), "executor")
			disturb := func() {}
			url := nodes.URL()
			if c.lossy {
				proxy := startProxy(t, url[len("nats://"):])
				url = proxy.url()
				// Live copies as well as answers of the stream carry this.
				disturb = func() { proxy.swallow("Nats-Stream: "+contract.StreamOutput, 1+rand.IntN(20)) }
			}
			if c.servers > 1 {
				disturb = func() {
					if err := nodes.MoveLeader(t.Context(), writing.NATS(), contract.StreamOutput); err != nil {
						t.Error(err)
					}
				}
			}
			reading := testkit.Connect(t, url, "gateway")
			ctx := within(t)
			build, works := startBuild(t, writing, steps)
			foreign, err := writing.OpenOutput(ctx, contract.Operation{ID: uuid.NewString(), Project: "shop"})
			if err != nil {
				t.Fatal(err)
			}

			written := newProgress()
			var readersDone, writersDone sync.WaitGroup
			all := make([]*watching, readers)
			for i := range all {
				all[i] = &watching{of: map[string]int{}, steps: ids(works), want: chunks}
				if i%4 == 3 {
					all[i].steps = ids(works[:1+i%3])
				}
				readersDone.Go(func() {
					r, after := all[i], uint64(0)
					written.await(rand.IntN(steps * chunks))
					if i%3 == 1 { // is so slow that live messages find no room
						r.stallAt = 1 + rand.IntN(40)
						r.stall = func() { written.await(len(r.seqs) + 100) }
					}
					for {
						r.begun = false
						if i%2 == 0 { // is cut, and resumes from its cursor
							r.stopN = 1 + rand.IntN(100)
						}
						err := watch(ctx, reading, build.ID, r.steps, bus.Follow{After: after, Idle: time.Second}, r)
						if len(r.seqs) > 0 {
							after = r.seqs[len(r.seqs)-1]
						}
						if errors.Is(err, errStop) {
							continue
						}
						if err != nil || r.end == nil || r.end.State != contract.Completed {
							t.Errorf("reader %d: %v, ended as %+v", i, err, r.end)
						}
						return
					}
				})
			}
			for i, work := range works {
				writersDone.Go(func() {
					w, err := writing.OpenOutput(ctx, work)
					if err != nil {
						t.Error(err)
						return
					}
					for n := range chunks {
						if err := w.Write(ctx, contract.Chunk{Stream: contract.OutputStdout, Offset: int64(n), Cursor: int64(n + 1), Data: []byte{'x'}}); err != nil {
							t.Error(err)
							return
						}
						if total := written.add(1); total%200 == 100 {
							disturb()
						}
					}
					if err := endStep(ctx, writing, build.ID, i); err != nil {
						t.Error(err)
					}
				})
			}
			for n := range chunks {
				if err := foreign.Write(ctx, contract.Chunk{Stream: contract.OutputStdout, Cursor: int64(n + 1), Data: []byte{'y'}}); err != nil {
					t.Fatal(err)
				}
			}
			writersDone.Wait()
			written.end()
			if _, err := writing.Update(ctx, build.ID, func(contract.Operation) (contract.Change, error) {
				return contract.OperationCompleted{Attempt: 1, At: time.Now()}, nil
			}); err != nil {
				t.Fatal(err)
			}
			readersDone.Wait()
			for i, r := range all {
				want := stored(t, writing, r.steps)
				if len(want) != len(r.steps)*chunks {
					t.Fatalf("%d chunks of %d steps are stored, want %d of each", len(want), len(r.steps), chunks)
				}
				if !slices.Equal(r.seqs, want) || len(r.gaps) > 0 {
					t.Errorf("reader %d saw %d chunks of %d, in order: %t, gaps %q", i, len(r.seqs), len(want), slices.IsSorted(r.seqs), r.gaps)
				}
				if len(r.early) > 0 {
					t.Errorf("reader %d heard the end of steps before their output: %q", i, r.early)
				}
			}
		})
	}
}

func TestEachChunkOfABuildIsToldBeforeTheNextComes(t *testing.T) {
	c := testkit.Connect(t, testkit.NATS(t).URL(), "gateway")
	build, works := startBuild(t, c, 3)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	told := make(chan struct{})
	r := &watching{of: map[string]int{}, stopN: 30, stallAt: 1, stall: func() { told <- struct{}{} }}
	ended := make(chan error, 1)
	go func() {
		ended <- watch(ctx, c, build.ID, ids(works), bus.Follow{Idle: time.Second}, r)
	}()
	for i := range 30 {
		w, err := c.OpenOutput(ctx, works[i%3])
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(ctx, contract.Chunk{Stream: contract.OutputStdout, Cursor: int64(i + 1), Data: []byte{'x'}}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-told:
		case <-ctx.Done():
			t.Fatalf("chunk %d was not told", i)
		}
	}
	if err := <-ended; !errors.Is(err, errStop) {
		t.Error(err)
	}
}

func TestThatAStepHasEndedIsToldAfterItsOutputWhateverWasLost(t *testing.T) {
	server := testkit.NATS(t)
	proxy := startProxy(t, server.Addr().String())
	writing, reading := testkit.Connect(t, server.URL(), "executor"), testkit.Connect(t, proxy.url(), "gateway")
	ctx := within(t)
	for _, followed := range []int{1, 2} {
		build, works := startBuild(t, writing, 2)
		waits := make(chan struct{})
		r := &watching{of: map[string]int{}, steps: ids(works[:followed]), want: 1, idle: sync.OnceFunc(func() { close(waits) })}
		ended := make(chan error, 1)
		go func() {
			ended <- watch(ctx, reading, build.ID, r.steps, bus.Follow{Idle: 10 * time.Millisecond}, r)
		}()
		<-waits
		for i, work := range works {
			proxy.swallow("HMSG rdev.output.", 1)
			w, err := writing.OpenOutput(ctx, work)
			if err == nil {
				err = w.Write(ctx, contract.Chunk{Stream: contract.OutputStdout, Data: []byte{'x'}})
			}
			if err == nil {
				err = endStep(ctx, writing, build.ID, i)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := writing.Update(ctx, build.ID, func(contract.Operation) (contract.Change, error) {
			return contract.OperationCompleted{Attempt: 1, At: time.Now()}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil || len(r.seqs) != followed || len(r.early) > 0 {
			t.Errorf("of %d steps %d chunks, %v; told before their output: %q", followed, len(r.seqs), err, r.early)
		}
	}
	if proxy.swallowed.Load() == 0 {
		t.Error("nothing was lost")
	}
}

func TestOfABuildOnlyTheStepsThatAreNamedAreTold(t *testing.T) {
	c := testkit.Connect(t, testkit.NATS(t).URL(), "gateway")
	build, works := startBuild(t, c, 3)
	var writers []*bus.OutputWriter
	for _, work := range works {
		w, err := c.OpenOutput(t.Context(), work)
		if err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	for range 4 {
		for _, w := range writers {
			if err := w.Write(t.Context(), contract.Chunk{Stream: contract.OutputStdout, Data: []byte{'x'}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, named := range [][]contract.Operation{works[:1], {works[0], works[2]}, works} {
		r := &watching{of: map[string]int{}}
		if err := watch(t.Context(), c, build.ID, ids(named), bus.Follow{Once: true}, r); err != nil {
			t.Fatal(err)
		}
		if want := stored(t, c, ids(named)); !slices.Equal(r.seqs, want) || r.end == nil || r.end.ID != build.ID {
			t.Errorf("of %d steps: %v, want %v; ended as %+v", len(named), r.seqs, want, r.end)
		}
	}
}

func TestACursorOfABuildExpiresWithWhatFollowsOfAnyStep(t *testing.T) {
	c := testkit.Connect(t, testkit.NATS(t).URL(), "gateway")
	build, works := startBuild(t, c, 2)
	var writers []*bus.OutputWriter
	for _, work := range works {
		w, err := c.OpenOutput(t.Context(), work)
		if err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	for i := range 10 { // odd ones are of the first step
		if err := writers[i%2].Write(t.Context(), contract.Chunk{Stream: contract.OutputStdout, Data: []byte{'x'}}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := c.JetStream().Stream(t.Context(), contract.StreamOutput)
	if err != nil {
		t.Fatal(err)
	}
	check := func(after uint64, seqs []uint64, gaps ...string) {
		t.Helper()
		r := &watching{of: map[string]int{}}
		err := watch(t.Context(), c, build.ID, ids(works), bus.Follow{After: after, Once: true}, r)
		if seqs == nil {
			if !errors.Is(err, bus.ErrCursorExpired) {
				t.Errorf("after %d: %v, want ErrCursorExpired", after, err)
			}
			return
		}
		if err != nil || !slices.Equal(r.seqs, seqs) || !slices.Equal(r.gaps, gaps) {
			t.Errorf("after %d: %v, gaps %q, %v; want %v, gaps %q", after, r.seqs, r.gaps, err, seqs, gaps)
		}
	}
	remove := func(seq uint64) {
		t.Helper()
		if err := stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	remove(6)
	check(0, []uint64{1, 2, 3, 4, 5, 7, 8, 9, 10}, "2 5-6")
	check(3, []uint64{4, 5, 7, 8, 9, 10}, "2 5-6")
	check(5, nil)
	check(6, []uint64{7, 8, 9, 10})
	remove(5)
	check(4, nil)
	check(0, []uint64{1, 2, 3, 4, 7, 8, 9, 10}, "1 4-5", "2 5-6")
	remove(10) // the last of the stream
	check(7, []uint64{8, 9})
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(9)); err != nil {
		t.Fatal(err)
	}
	check(8, nil) // nothing is left of the second step
	check(9, []uint64{})
	check(0, []uint64{9}, "1 1-7")
}
