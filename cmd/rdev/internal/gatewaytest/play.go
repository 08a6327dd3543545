package gatewaytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// createCommand plays a command at once. The words of a shell command are a
// script for the gateway:
//
//	echo WORD…    says the words on stdout
//	err WORD…     says them on stderr
//	fail CODE     exits with the code
//	trouble CODE  says so, and then exits with the code
//	lose          ends without an exit code, class infrastructure
//	bytes         says bytes that are no text
//	cut N         says N lines, and cuts the first connection in each of them
//	hang          runs until it is cancelled
//	stubborn      runs for ever, cancelled or not
//	flaky N       work: fails N times with the code 7, and then says "done"
//
// git answers its request. An agent says a few events, uses Bash, and then, by its
// prompt:
//
//	spend …       is ended by a budget
//	two …         with permissions "ask": asks for two tools instead of one
func (g *Gateway) createCommand(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.Unmarshal(readBody(r), &body); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	if !g.hasProject(r.PathValue("project")) {
		notFound(w, "project", r.PathValue("project"))
		return
	}
	kind := fmt.Sprint(body["kind"])
	command := commandOf(kind, readBody(r))
	spenders, ok := g.affords(w, r, command.Agent)
	if !ok {
		return
	}
	g.start(w, r, contract.Operation{Kind: "command." + kind, Project: r.PathValue("project"), Command: command}, func(op *operation) {
		switch kind {
		case "shell":
			g.playShell(op, words(command.Shell))
		case "git":
			said, _ := json.Marshal(body)
			op.say(contract.OutputStdout, string(said)+"\n")
			op.now.Result = &contract.Result{Commit: "0a1b2c3", Branch: "main"}
			g.end(op, contract.TypeCompleted, 0, nil)
		case "agent":
			g.playAgent(op, command.Agent, spenders)
		}
	})
}

func (g *Gateway) playShell(op *operation, words []string) {
	verb, rest := words[0], words[1:]
	number := 0
	if len(rest) > 0 {
		number, _ = strconv.Atoi(rest[0])
	}
	switch verb {
	case "echo":
		op.say(contract.OutputStdout, strings.Join(rest, " ")+"\n")
	case "err":
		op.say(contract.OutputStderr, strings.Join(rest, " ")+"\n")
	case "bytes":
		op.say(contract.OutputStdout, "\xff\x00\xfe")
	case "cut":
		for i := range number {
			op.cut()
			op.say(contract.OutputStdout, fmt.Sprintf("line %d\n", i+1))
		}
	case "hang", "stubborn":
		op.stubborn = verb == "stubborn"
		op.say(contract.OutputStdout, "hanging\n")
		return
	case "fail", "trouble":
		if verb == "trouble" {
			op.say(contract.OutputStdout, "trouble\n")
		}
		g.fail(op, &number, contract.NewFailure(contract.ClassUser, "exit status %d", number))
		return
	case "flaky":
		if tried := len(op.now.Work.Tries); tried < number {
			op.say(contract.OutputStdout, fmt.Sprintf("try %d\n", tried+1))
			g.fail(op, new(7), contract.NewFailure(contract.ClassUser, "exit status 7"))
			return
		}
		op.say(contract.OutputStdout, "done\n")
	case "lose":
		g.fail(op, nil, contract.NewFailure(contract.ClassInfrastructure, "the executor was lost"))
		return
	}
	g.end(op, contract.TypeCompleted, 0, nil)
}

// fail ends an operation, or has work wait for another try.
func (g *Gateway) fail(op *operation, code *int, failure *contract.Failure) {
	if op.now.Work != nil {
		if pause, again := op.now.Work.RetryAfter(failure); again {
			_ = g.apply(op, contract.OperationRetrying{
				Attempt: op.now.Attempt, ExitCode: code, Failure: failure, At: g.clock(), RunAt: time.Now().Add(pause),
			})
			return
		}
	}
	op.now.ExitCode, op.now.Failure = code, failure
	g.change(op, contract.TypeFailed)
}

func (g *Gateway) end(op *operation, kind string, code int, failure *contract.Failure) {
	op.now.ExitCode, op.now.Failure = &code, failure
	if kind == contract.TypeCompleted && op.now.Work != nil {
		op.leave()
	}
	g.change(op, kind)
}

// cut has the connection break in the next frame, once.
func (o *operation) cut() {
	o.cuts[len(o.frames)] = true
	if o.in != nil {
		o.in.cut()
	}
}

// say adds a chunk in the form of the contract.
func (o *operation) say(stream, text string) {
	chunk := map[string]any{"offset": 0, "data": text}
	if !utf8.ValidString(text) {
		chunk = map[string]any{"offset": 0, "data": base64.StdEncoding.EncodeToString([]byte(text)), "encoding": "base64"}
	}
	data, _ := json.Marshal(chunk)
	o.add(stream, string(data))
}

func (o *operation) add(event, data string) {
	seq := uint64(100)
	for _, f := range o.frames {
		seq = max(seq, f.Seq+2) // gaps between sequences are usual
	}
	o.frames = append(o.frames, Frame{Seq: seq, Event: event, Data: data})
	if o.in != nil {
		of := map[string]any{}
		_ = json.Unmarshal([]byte(data), &of)
		of["step"], of["operation"] = o.now.Work.Step.Step, o.now.ID
		said, _ := json.Marshal(of)
		o.in.add(event, string(said))
	}
}
