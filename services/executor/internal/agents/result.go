package agents

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Stop is why rdev ended a run.
type Stop string

// Reasons of rdev to end a run.
const (
	StopNone      Stop = ""          // it did not
	StopCancelled Stop = "cancelled" // somebody asked for it
	StopTimeout   Stop = "timeout"   // the wall clock, or silence
	StopBudget    Stop = "budget"    // money
	StopTurns     Stop = "max_turns" // calls of the model
	StopAuth      Stop = "auth"      // Parser.AuthFailed
	StopFinished  Stop = "finished"  // Parser.Finished, and the CLI lived on
)

// End is how the process of a run ended.
type End struct {
	ExitCode   *int   // nil where it is unknown, or where a signal ended it
	Signal     string // "SIGKILL", "" where it exited
	StartError string // set where there never was a process
	Stopped    Stop
	Reason     string // in words, for a timeout or a limit: "silent for 5m0s"
	At         time.Time
}

// Result ends the run: it returns the events of a last line without an end, and
// as the last of all the one result. Call it once.
func (p *Parser) Result(end End) []contract.AgentEvent {
	if !end.At.IsZero() {
		p.at = end.At
	}
	if whole, ok := p.lines.rest(); ok {
		p.line(whole)
	}
	p.endSpeech()
	result := p.judge(end)
	result.Type, result.Provider, result.Session = contract.AgentResult, p.provider, p.session
	result.Text, result.Turns, result.Denied = p.words, p.totals.Turns, p.denied
	result.Usage = p.Totals().Usage
	if end.Signal == "" {
		result.ExitCode = end.ExitCode
	}
	p.emit(result)
	return p.take()
}

// judge decides how a run ended. The order matters: what rdev did to it comes
// first, then what the agent says, and the exit code alone is never enough.
func (p *Parser) judge(end End) contract.AgentEvent {
	switch end.Stopped {
	case StopCancelled:
		return contract.AgentEvent{Status: contract.AgentCancelled, StopReason: "cancelled"}
	case StopTimeout:
		message := reason(end, "timed out")
		status := statusIn(p.lastWordsOfStderr()) // why it took so long, with some luck
		if status != 0 {
			message += fmt.Sprintf("; the model's API answered %d before", status)
		}
		return contract.AgentEvent{
			Status: contract.AgentTimedOut, StopReason: "timeout", HTTPStatus: status,
			Failure: contract.NewFailure(contract.ClassTimeout, "%s", message),
		}
	case StopBudget, StopTurns:
		return failed(string(end.Stopped), contract.ClassBudget, problem{message: reason(end, "a limit was reached")})
	}
	exitedWell := end.Signal == "" && (end.ExitCode == nil || *end.ExitCode == 0)
	switch {
	case end.StartError != "":
		return failed("error", contract.ClassInfrastructure, problem{message: end.StartError})
	case p.verdict != nil && !p.verdict.ok:
		return failed(p.verdict.stopReason, verdictClass(*p.verdict), p.verdict.problem)
	case p.verdict != nil && (exitedWell || end.Stopped == StopFinished):
		return contract.AgentEvent{Status: contract.AgentSucceeded, StopReason: p.verdict.stopReason}
	case p.verdict != nil:
		return failed("error", contract.ClassAgent, problem{message: p.explain(ending(end) + " after a good result")})
	case p.authFailed:
		return failed("error", contract.ClassAuth, *p.problem)
	case signalOf(end) != "":
		return failed("signal", signalClass(signalOf(end)), problem{message: p.explain("ended by " + signalOf(end))})
	case p.problem != nil:
		return failed("error", p.problem.class(), *p.problem)
	default:
		message := p.explain(ending(end) + " without a result")
		lost := problem{message: message}
		if end.ExitCode == nil {
			return failed("incomplete", contract.ClassInfrastructure, lost)
		}
		return failed("incomplete", lost.class(), lost)
	}
}

func failed(stopReason string, class contract.FailureClass, why problem) contract.AgentEvent {
	return contract.AgentEvent{
		Status: contract.AgentFailed, StopReason: stopReason, HTTPStatus: why.httpStatus, Code: why.code,
		Failure: contract.NewFailure(class, "%s", why.message),
	}
}

func verdictClass(v verdict) contract.FailureClass {
	switch v.stopReason {
	case "max_tokens", "max_turns", "budget":
		return contract.ClassBudget
	case "refusal":
		return contract.ClassAgent
	case "cancelled": // by somebody who did not ask rdev
		return contract.ClassUnknown
	default:
		return v.problem.class()
	}
}

func reason(end End, otherwise string) string {
	if end.Reason != "" {
		return end.Reason
	}
	return otherwise
}

func ending(end End) string {
	switch {
	case end.Signal != "":
		return "ended by " + end.Signal
	case end.ExitCode != nil:
		return fmt.Sprintf("exit %d", *end.ExitCode)
	default:
		return "ended in a way that nobody saw,"
	}
}

// signalOf is the signal that ended a run, also where the CLI caught it and
// exited as shells do.
func signalOf(end End) string {
	if end.Signal == "" && end.ExitCode != nil {
		switch *end.ExitCode {
		case 130, 137, 143:
			return signalName(*end.ExitCode - 128)
		}
	}
	return end.Signal
}

// signalClass blames what a run stands on for the signals that come from
// outside, such as those of a machine that shuts down or has no memory left.
func signalClass(signal string) contract.FailureClass {
	if slices.Contains([]string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGTERM"}, signal) {
		return contract.ClassInfrastructure
	}
	return contract.ClassAgent
}

func signalName(number int) string {
	names := map[int]string{
		1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS",
		8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM",
	}
	if name, ok := names[number]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", number)
}

// explain adds the end of standard error to what happened.
func (p *Parser) explain(what string) string {
	if words := p.lastWordsOfStderr(); words != "" {
		return what + ": " + words
	}
	return what
}

func (p *Parser) lastWordsOfStderr() string {
	words := strings.ToValidUTF8(string(p.stderr), "")
	return strings.TrimSpace(colors.ReplaceAllString(words, ""))
}
