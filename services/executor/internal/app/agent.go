package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

// agentPlan is what running an agent needs beyond running a program.
type agentPlan struct {
	driver agents.Driver
	launch agents.Launch
	limits contract.AgentLimits
}

func agentPlanFor(op contract.Operation, home string) (p plan, problem string) {
	want := *op.Command.Agent
	driver, ok := agents.Lookup(want.Provider)
	if !ok {
		return plan{}, fmt.Sprintf("there is no agent %q", want.Provider)
	}
	// An operation's id is a UUID that no session has: the same on every attempt.
	launch := driver.Command(want, agents.Place{Home: home, Session: op.ID})
	a := &agentPlan{driver: driver, launch: launch, limits: want.Limits}
	p.spec = domain.RunSpec{Argv: launch.Argv, Env: launch.Env, Stdin: launch.Stdin, KeepStdin: launch.KeepStdin}
	p.timeout, p.silence = time.Duration(want.Limits.Wall), time.Duration(want.Limits.Silence)
	p.agent = a
	p.newRelay = func(to sink) relay {
		parser := driver.NewParser()
		parser.Redact(to.secrets)
		return &agentRelay{out: to, parser: parser, stderr: to.secrets.Stream(), done: to.Cursor()}
	}
	return p, ""
}

// finishGrace is how long a CLI may live on after its result.
const finishGrace = 10 * time.Second

// exceeded tells which of the agent's own limits is used up.
func (a *agentPlan) exceeded(r relay, now time.Time) stop {
	seen, ok := r.(*agentRelay)
	if !ok {
		return stop{}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	totals := seen.parser.Totals()
	switch {
	case seen.parser.AuthFailed() && !seen.parser.Finished():
		return stop{reason: stopAuth, words: "the key was refused"}
	case seen.parser.Finished() && now.Sub(seen.last) > finishGrace:
		return stop{reason: stopFinished, words: "the agent lived on after its result"}
	case a.limits.Turns > 0 && totals.Turns > a.limits.Turns:
		return stop{reason: stopTurns, words: fmt.Sprintf("more than %d turns", a.limits.Turns)}
	case a.limits.Tokens > 0 && totals.Usage.Tokens() > a.limits.Tokens:
		return stop{reason: stopBudget, words: fmt.Sprintf("more than %d tokens", a.limits.Tokens)}
	case a.limits.CostUSD > 0 && totals.Usage != nil && totals.Usage.CostUSD != nil && *totals.Usage.CostUSD > a.limits.CostUSD:
		return stop{reason: stopBudget, words: fmt.Sprintf("more than %.2f USD", a.limits.CostUSD)}
	}
	return stop{}
}

// interruptGrace is how long an agent has to obey its own protocol.
const interruptGrace = 5 * time.Second

// interrupt asks the agent to stop by its own protocol, where it has one, and
// leaves it a moment to say how far it came.
func (a *agentPlan) interrupt(ctx context.Context, runtime Runtime, ref domain.RunRef) error {
	if a.launch.Interrupt == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, interruptGrace)
	defer cancel()
	if err := runtime.Input(ctx, ref, a.launch.Interrupt, true); err != nil {
		if errors.Is(err, domain.ErrStaleToken) || errors.Is(err, domain.ErrNoRun) {
			return err
		}
		return nil // it reads no more: the signals come next
	}
	_, _ = runtime.Attach(ctx, ref, 0, func(domain.Frame) error { return nil }) // until it ended, or the moment is over
	return nil
}

// agentRelay passes an agent's events on, one in a chunk. The same spool makes
// the same chunks, so that another attempt reads it from its start and skips
// those that are stored: their number is the cursor. Secrets are masked by the
// parser, which knows what of a line the agent says, and in standard error.
type agentRelay struct {
	out    sink
	stderr *redact.Stream

	mu     sync.Mutex // the watch looks at the parser
	parser *agents.Parser
	last   time.Time // of the last line

	told   map[string]bool // requests that were answered by this attempt
	looked int             // Parser.Asked when the watch looked last

	made   int64 // chunks so far
	done   int64 // chunks that are stored
	events int64
	errors int64 // bytes of standard error
	kept   int64
}

func (r *agentRelay) from() int64 { return 0 }

// progress is what the run has used so far, nil where nothing is known.
func (r *agentRelay) progress() *contract.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	totals := r.parser.Totals()
	if totals.Usage == nil && totals.Turns == 0 {
		return nil
	}
	return &contract.Result{Session: r.parser.Session(), Turns: totals.Turns, Usage: totals.Usage}
}

// finished tells whether the agent has said how its run ended.
func (r *agentRelay) finished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.parser.Finished()
}

func (r *agentRelay) take(ctx context.Context, f domain.Frame) error {
	r.mu.Lock()
	r.last = time.Now()
	var events []contract.AgentEvent
	if f.Stream != domain.Stderr {
		events = r.parser.Stdout(f.Data, f.Time)
	}
	r.mu.Unlock()
	if f.Stream == domain.Stderr {
		return r.passErrors(ctx, r.stderr.Feed(f.Data))
	}
	return r.passEvents(ctx, events)
}

// passErrors passes standard error on, in which nothing is left to be masked.
func (r *agentRelay) passErrors(ctx context.Context, data []byte) error {
	r.mu.Lock()
	r.parser.Stderr(data)
	r.mu.Unlock()
	for piece := range slices.Chunk(data, contract.MaxChunk) {
		if err := r.pass(ctx, contract.Chunk{Stream: contract.OutputStderr, Offset: r.errors, Data: bytes.Clone(piece)}); err != nil {
			return err
		}
		r.errors += int64(len(piece))
	}
	return nil
}

func (r *agentRelay) passEvents(ctx context.Context, events []contract.AgentEvent) error {
	for _, event := range events {
		data, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("encode agent event: %w", err)
		}
		if err := r.pass(ctx, contract.Chunk{Stream: contract.OutputAgent, Offset: r.events, Data: data}); err != nil {
			return err
		}
		r.events++
	}
	return nil
}

func (r *agentRelay) pass(ctx context.Context, c contract.Chunk) error {
	r.mu.Lock()
	r.made++
	made := r.made
	r.mu.Unlock()
	if r.kept += int64(len(c.Data)); made <= r.done || r.kept > r.out.maxOutput {
		return nil
	}
	c.Attempt, c.Cursor = r.out.attempt, made
	return r.out.Write(ctx, c)
}

func (r *agentRelay) flush(ctx context.Context) error { return r.passErrors(ctx, r.stderr.End()) }

func (r *agentRelay) finish(ctx context.Context, exit domain.Exit, stopped stop) (ending, error) {
	end := agents.End{Signal: exit.Signal, StartError: exit.StartError, Reason: stopped.words, At: exit.EndedAt}
	if exit.Known && exit.StartError == "" && exit.Signal == "" {
		end.ExitCode = &exit.Code
	}
	end.Stopped = agentStop(stopped.reason)
	if end.At.IsZero() {
		end.At = time.Now().UTC()
	}
	r.mu.Lock()
	events := r.parser.Result(end)
	r.mu.Unlock()
	if err := r.passEvents(ctx, events); err != nil {
		return ending{}, err
	}
	how := endingOf(events[len(events)-1])
	how.result.Leftovers, how.result.OutputCut = exit.Leftovers, r.kept > r.out.maxOutput || exit.Dropped > 0
	if stopped.reason == stopShutdown && exit.Cancelled {
		how.state, how.failure = contract.Failed, contract.NewFailure(contract.ClassInfrastructure, "%s", stopped.words)
	}
	return how, nil
}

func agentStop(reason stopReason) agents.Stop {
	switch reason {
	case stopCancelled:
		return agents.StopCancelled
	case stopTimeout, stopSilence:
		return agents.StopTimeout
	case stopBudget:
		return agents.StopBudget
	case stopTurns:
		return agents.StopTurns
	case stopAuth:
		return agents.StopAuth
	case stopFinished:
		return agents.StopFinished
	case stopNone, stopShutdown:
	}
	return agents.StopNone
}

// endingOf makes the operation's end of the agent's result.
func endingOf(e contract.AgentEvent) ending {
	how := ending{
		state: contract.Failed, exitCode: e.ExitCode, failure: e.Failure,
		result: &contract.Result{Text: e.Text, Session: e.Session, StopReason: e.StopReason, Turns: e.Turns, Usage: e.Usage},
	}
	switch e.Status {
	case contract.AgentSucceeded:
		how.state = contract.Completed
	case contract.AgentCancelled:
		how.state = contract.Cancelled
	}
	return how
}
