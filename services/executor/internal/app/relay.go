package app

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// textRelay passes stdout and stderr on byte for byte, but for secrets. A frame
// goes out at once when no chunk is under way; what comes meanwhile gathers into
// the next.
type textRelay struct {
	out   sink
	judge func(exit domain.Exit, stopped stop, tail []byte) ending

	mu      sync.Mutex
	changed *sync.Cond
	waiting []contract.Chunk // not yet given to the writer
	size    int              // bytes in waiting
	writing bool
	err     error // of the writer, final

	outlets map[domain.Stream]*outlet
	stored  int64  // cursor of what an earlier attempt has stored
	next    int64  // position in the spool after the last frame
	kept    int64  // bytes so far
	tail    []byte // end of standard output, with secrets
}

// maxWaiting is how much may wait for the output stream before the spool does.
const maxWaiting = 1 << 20

// tailSize is how much of the end of standard output is kept for the judge.
const tailSize = 4 << 10

func newTextRelay(judge func(domain.Exit, stop, []byte) ending) func(sink) relay {
	return func(to sink) relay {
		r := &textRelay{out: to, judge: judge, stored: to.Cursor(), outlets: map[domain.Stream]*outlet{
			domain.Stdout: {name: contract.OutputStdout, mask: to.secrets.Stream()},
			domain.Stderr: {name: contract.OutputStderr, mask: to.secrets.Stream()},
		}}
		r.changed = sync.NewCond(&r.mu)
		return r
	}
}

// from reads the spool from its start: what is stored is skipped, but what is
// told of the whole, as its last line, comes from all of it, and so does what is
// held back because it may be the start of a secret.
func (r *textRelay) from() int64 { return 0 }

func (r *textRelay) take(ctx context.Context, f domain.Frame) error {
	stop := context.AfterFunc(ctx, r.wake)
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.size > maxWaiting && r.err == nil && ctx.Err() == nil {
		r.changed.Wait()
	}
	if r.err != nil || ctx.Err() != nil {
		return r.failure(ctx)
	}
	if f.Stream == domain.Stdout {
		r.tail = append(r.tail, f.Data...)
		r.tail = r.tail[max(0, len(r.tail)-tailSize):]
	}
	r.next = f.Next
	for piece := range r.outlets[f.Stream].take(f) {
		r.pass(ctx, piece)
	}
	return nil
}

// pass has the writer store a piece, unless that has been done. What is beyond the
// limit is lost, but read all the same, so that the command is not held up.
func (r *textRelay) pass(ctx context.Context, piece contract.Chunk) {
	if r.kept += int64(len(piece.Data)); r.kept > r.out.maxOutput || piece.Cursor <= r.stored {
		return
	}
	piece.Attempt, piece.Data = r.out.attempt, bytes.Clone(piece.Data)
	r.add(piece)
	if !r.writing {
		r.writing = true
		go r.write(ctx)
	}
}

// add joins a chunk to the last that waits, where they are neighbors.
func (r *textRelay) add(c contract.Chunk) {
	r.size += len(c.Data)
	if n := len(r.waiting); n > 0 {
		last := &r.waiting[n-1]
		if last.Stream == c.Stream && len(last.Data)+len(c.Data) <= contract.MaxChunk {
			last.Data, last.Cursor = append(last.Data, c.Data...), c.Cursor
			return
		}
	}
	r.waiting = append(r.waiting, c)
}

// write stores what waits until nothing does, or ctx is done.
func (r *textRelay) write(ctx context.Context) {
	for {
		r.mu.Lock()
		if len(r.waiting) == 0 || r.err != nil {
			r.writing = false
			r.changed.Broadcast()
			r.mu.Unlock()
			return
		}
		next := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.size -= len(next.Data)
		r.changed.Broadcast()
		r.mu.Unlock()
		if err := r.out.Write(ctx, next); err != nil {
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
		}
	}
}

func (r *textRelay) flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.wake)
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, stream := range []domain.Stream{domain.Stdout, domain.Stderr} {
		for piece := range r.outlets[stream].end(r.next) {
			r.next = piece.Cursor
			r.pass(ctx, piece)
		}
	}
	for r.writing && ctx.Err() == nil {
		r.changed.Wait()
	}
	return r.failure(ctx)
}

func (r *textRelay) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed.Broadcast()
}

func (r *textRelay) failure(ctx context.Context) error {
	if r.err != nil {
		return r.err
	}
	return context.Cause(ctx)
}

func (r *textRelay) finish(_ context.Context, exit domain.Exit, stopped stop) (ending, error) {
	how := r.judge(exit, stopped, r.tail)
	cut := r.kept > r.out.maxOutput || exit.Dropped > 0
	if cut || exit.Leftovers > 0 {
		if how.result == nil {
			how.result = &contract.Result{}
		}
		how.result.OutputCut, how.result.Leftovers = cut, exit.Leftovers
	}
	return how, nil
}

// judgeProgram says what the end of a program means for its operation.
func judgeProgram(exit domain.Exit, stopped stop, _ []byte) ending {
	how := ending{state: contract.Failed}
	if exit.Known && exit.StartError == "" && exit.Signal == "" {
		how.exitCode = &exit.Code
	}
	switch {
	case exit.Error != "":
		how.exitCode = nil
		how.failure = contract.NewFailure(contract.ClassInfrastructure, "the output could not be kept: %s", exit.Error)
	case !exit.Known:
		how.failure = contract.NewFailure(contract.ClassInfrastructure, "how the command ended is unknown: its runner was lost")
	case exit.StartError != "":
		how.failure = contract.NewFailure(contract.ClassUser, "the command did not start: %s", exit.StartError)
	case exit.Cancelled && stopped.reason == stopCancelled:
		how.state = contract.Cancelled
	case exit.Cancelled && stopped.reason == stopShutdown:
		how.failure = contract.NewFailure(contract.ClassInfrastructure, "%s", stopped.words)
	case exit.Cancelled && stopped.reason != stopNone:
		how.failure = contract.NewFailure(contract.ClassTimeout, "%s", stopped.words)
	case exit.Signal != "":
		how.failure = contract.NewFailure(contract.ClassUser, "ended by %s", exit.Signal)
	case exit.Code != 0:
		how.failure = contract.NewFailure(contract.ClassUser, "exit code %d", exit.Code)
	default:
		how.state = contract.Completed
	}
	return how
}

// judgeGit is judgeProgram with what the verb left behind, which its last line
// tells: HEAD is <commit> on <branch>.
func judgeGit(exit domain.Exit, stopped stop, tail []byte) ending {
	how := judgeProgram(exit, stopped, tail)
	lines := bytes.Split(bytes.TrimRight(tail, "\n"), []byte("\n"))
	var commit, branch string
	if n, _ := fmt.Sscanf(string(lines[len(lines)-1]), "HEAD is %s on %s", &commit, &branch); n == 2 {
		how.result = &contract.Result{Commit: commit, Branch: branch}
	}
	return how
}
