package gatewaytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// operation is an operation with its history and its output.
type operation struct {
	now     contract.Operation
	history []past
	frames  []Frame
	cuts    map[int]bool // cut the connection in the middle of this frame, once

	stubborn bool // does not end when it is cancelled

	acts int    // events of its agent so far
	play func() // what follows the approval of its start
	goOn func() // what follows the last decision about its tools

	in *operation // the build that it is a step of, nil for none
}

// past is one event of an operation's history.
type past struct {
	Seq       uint64             `json:"seq"`
	Type      string             `json:"type"`
	Time      time.Time          `json:"time"`
	Operation contract.Operation `json:"operation"`
}

// Frame is one frame of an operation's output.
type Frame struct {
	Seq   uint64 // 0 for none
	Event string
	Data  string
}

// start adds an operation, or answers the one of the same idempotency key.
func (g *Gateway) start(w http.ResponseWriter, r *http.Request, wanted contract.Operation, play func(*operation)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op, replayed := g.make(r.Header.Get("Idempotency-Key"), wanted)
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
		answer(w, http.StatusAccepted, op.now)
		return
	}
	op.play = func() {
		g.change(op, contract.TypeRunning)
		play(op)
	}
	accepted := op.now
	if op.now.Held {
		g.ask(op, contract.Approval{ID: contract.ApprovalStart, Title: titleOf(wanted.Command)})
		accepted = op.now
	} else {
		op.play()
	}
	if r.Header.Get("Prefer") != "" && op.now.State.Ended() && !strings.HasPrefix(wanted.Project, "slow") {
		answer(w, http.StatusOK, op.now)
		return
	}
	w.Header().Set("Location", "/operations/"+op.now.ID)
	answer(w, http.StatusAccepted, accepted)
}

// make makes a pending operation, or finds the one of the same idempotency key.
func (g *Gateway) make(key string, wanted contract.Operation) (op *operation, replayed bool) {
	if id, ok := g.byKey[key]; ok && key != "" {
		return g.find(id), true
	}
	if wanted.ID == "" {
		wanted.ID = fmt.Sprintf("0192aaaa-0000-7000-8000-%012d", len(g.operations)+1)
	}
	wanted.Actor, wanted.Held = "key:test", wanted.Command != nil && wanted.Command.Approval == contract.ApprovalRequired
	op = &operation{cuts: map[int]bool{}, now: wanted}
	g.operations = append(g.operations, op)
	g.byKey[key] = wanted.ID
	g.change(op, contract.TypePending)
	return op, false
}

// clock is the time of the next event.
func (g *Gateway) clock() time.Time { return time.Date(2026, 11, 25, 10, 0, len(g.log), 0, time.UTC) }

// change appends an event; the operation's other fields are set before.
func (g *Gateway) change(op *operation, kind string) {
	at := g.clock()
	op.now.Rev++
	switch kind {
	case contract.TypePending:
		op.now.State, op.now.CreatedAt = contract.Pending, at
	case contract.TypeRunning:
		op.now.State = contract.Running
		op.now.Attempt++
		if op.now.StartedAt == nil {
			op.now.StartedAt = &at
		}
	case contract.TypeCancelRequested:
		op.now.CancelRequested = true
	case contract.TypeApprovalRequested, contract.TypeApprovalDecided, contract.TypeProgressed, contract.TypeRetrying, contract.TypeStepped, contract.TypeProvisioned:
	default:
		op.now.State, op.now.FinishedAt, op.now.Held = contract.State(kind), &at, false
		op.now.Approvals = slices.Clone(op.now.Approvals)
		for i := range op.now.Approvals {
			if a := &op.now.Approvals[i]; a.State == contract.ApprovalOpen {
				a.State, a.DecidedAt = contract.ApprovalWithdrawn, &at
			}
		}
		op.now.WaitsSince = nil
	}
	op.now.Seq = uint64(len(g.log) + 1)
	happened := event{
		Seq: op.now.Seq, Entity: "operation", Type: "operation." + kind, ID: fmt.Sprintf("event-%d", op.now.Seq),
		Key: op.now.ID, Time: at, Actor: op.now.Actor, Project: op.now.Project, Source: "/rdev/executor/test", Data: op.now,
	}
	g.log = append(g.log, happened)
	op.history = append(op.history, past{op.now.Seq, kind, at, op.now})
	snapshot, _ := json.Marshal(summary(op.now))
	name := "state"
	if op.now.State.Ended() {
		name = "end"
	}
	op.frames = append(op.frames, Frame{Event: name, Data: string(snapshot)})
	g.changed.Broadcast()
}

func (g *Gateway) find(id string) *operation {
	for _, op := range g.operations {
		if op.now.ID == id {
			return op
		}
	}
	return nil
}

func (g *Gateway) listOperations(w http.ResponseWriter, r *http.Request) {
	g.list(w, r, "operations", "", func(contract.Operation) bool { return true })
}

// list answers the operations that are wanted and that the query asks for, whose kinds
// have a prefix.
func (g *Gateway) list(w http.ResponseWriter, r *http.Request, name, prefix string, wanted func(contract.Operation) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	query := r.URL.Query()
	list := []contract.Operation{}
	for _, op := range slices.Backward(g.operations) {
		matches := wanted(op.now) && (query.Get("state") == "" || slices.Contains(strings.Split(query.Get("state"), ","), string(op.now.State))) &&
			(query.Get("project") == "" || query.Get("project") == op.now.Project) &&
			(query.Get("kind") == "" || prefix+query.Get("kind") == op.now.Kind) &&
			(query.Get("cursor") == "" || op.now.ID < query.Get("cursor"))
		if matches {
			now := op.now
			if name == "builds" {
				now = summary(now)
			}
			list = append(list, now)
		}
	}
	limit := 50
	if given := query.Get("limit"); given != "" {
		_, _ = fmt.Sscan(given, &limit)
		if limit > contract.MaxPage {
			problem(w, http.StatusBadRequest, "INVALID_REQUEST", "limit is too high")
			return
		}
	}
	var next any
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].ID
	}
	answer(w, http.StatusOK, map[string]any{name: list, "next_cursor": next})
}

func (g *Gateway) getOperation(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if op := g.find(r.PathValue("id")); op != nil {
		answer(w, http.StatusOK, op.now)
		return
	}
	notFound(w, "operation", r.PathValue("id"))
}

func (g *Gateway) cancelOperation(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op := g.find(r.PathValue("id"))
	switch {
	case op == nil:
		notFound(w, "operation", r.PathValue("id"))
	case op.now.State == contract.Cancelled:
		answer(w, http.StatusOK, op.now)
	case op.now.State.Ended():
		problem(w, http.StatusConflict, "CONFLICT", "the operation has ended: "+string(op.now.State))
	case op.now.State == contract.Pending:
		g.change(op, contract.TypeCancelled)
		answer(w, http.StatusOK, op.now)
	default:
		g.change(op, contract.TypeCancelRequested)
		answer(w, http.StatusAccepted, op.now)
		if !op.stubborn {
			g.change(op, contract.TypeCancelled)
		}
		g.carryOut()
	}
}

func (g *Gateway) history(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if op := g.find(r.PathValue("id")); op != nil {
		answer(w, http.StatusOK, map[string]any{"events": op.history})
		return
	}
	notFound(w, "operation", r.PathValue("id"))
}

func notFound(w http.ResponseWriter, what, name string) {
	problem(w, http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("there is no %s %q", what, name))
}

func readBody(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// commandOf is the command of a request.
func commandOf(kind string, body []byte) *contract.Command {
	command := &contract.Command{}
	var parts any
	switch kind {
	case "shell":
		command.Shell = &contract.Shell{}
		parts = command.Shell
	case "git":
		command.Git = &contract.Git{}
		parts = command.Git
	case "agent":
		command.Agent = &contract.Agent{}
		parts = command.Agent
	}
	_, _ = json.Unmarshal(body, command), json.Unmarshal(body, parts)
	return command
}

// titleOf is a command in a line.
func titleOf(command *contract.Command) string {
	switch {
	case command.Shell != nil:
		return strings.Join(words(command.Shell), " ")
	case command.Git != nil:
		return "git " + command.Git.Verb
	}
	return command.Agent.Provider + ": " + command.Agent.Prompt
}

// words are what a shell command says.
func words(shell *contract.Shell) []string {
	if shell.Script != "" {
		return strings.Fields(shell.Script)
	}
	return shell.Argv
}
