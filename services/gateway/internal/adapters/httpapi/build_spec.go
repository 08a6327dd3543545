package httpapi

import (
	"errors"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/buildspec"
)

// parseBuild is the build that a text specifies, with values for its parameters.
func parseBuild(text []byte, params map[string]string) (contract.Build, error) {
	return buildspec.Parse(text, params, CheckStep)
}

// CheckStep implements buildspec.Check: what holds for requests for work and for commands
// holds for steps.
func CheckStep(step buildspec.Step) (contract.Command, contract.Work, []contract.FieldError) {
	v := validate.New()
	v.OneOf("kind", step.Kind, contract.WorkKinds()...)
	request := WorkRequest{
		Argv: step.Argv, Script: step.Script, Agent: agentOf(step.Agent), Workdir: step.Workdir, Env: step.Env,
		Credentials: step.Credentials, Timeout: step.Timeout, Approval: step.Approval, ApprovalTimeout: step.ApprovalTimeout,
		ApprovalDefault: step.ApprovalDefault, Priority: contract.Priority(step.Priority), MaxAttempts: step.MaxAttempts,
		Backoff: step.Backoff, Labels: step.Labels,
	}
	if r := step.Repository; r != nil {
		request.Repository = &contract.Repository{URL: r.URL, Ref: r.Ref}
	}
	var command contract.Command
	if len(step.Argv) > 0 || step.Script != "" || step.Agent != nil {
		command = request.command(v)
	} else {
		command = request.commandOfRdev(v, step.Git)
	}
	work := request.work(v, time.Time{})
	if wrong, ok := errors.AsType[*validate.Errors](v.Err()); ok {
		return command, work, wrong.Fields
	}
	return command, work, nil
}

// commandOfRdev is what is common to all commands, with a git verb where there is one:
// rdev itself knows what runs.
func (w WorkRequest) commandOfRdev(v *validate.Validator, verb *buildspec.Git) contract.Command {
	request := CommandRequest{
		Workdir: w.Workdir, Env: w.Env, Credentials: w.Credentials,
		Approval: w.Approval, ApprovalTimeout: w.ApprovalTimeout, ApprovalDefault: w.ApprovalDefault,
	}
	command := contract.Command{Workdir: w.Workdir, Env: w.Env, Credentials: w.Credentials, Timeout: durationOf(v, "timeout", w.Timeout)}
	request.approvals(v, &command)
	request.checkCommon(v)
	if verb == nil {
		return command
	}
	request = CommandRequest{
		Verb: verb.Verb, URL: verb.URL, Ref: verb.Ref, Create: verb.Create, Name: verb.Name, Depth: verb.Depth, Message: verb.Message,
		Paths: verb.Paths, Author: verb.Author, Remote: verb.Remote, Force: verb.Force, Limit: verb.Limit,
	}
	git := validate.New()
	command.Git = request.git(git)
	if wrong, ok := errors.AsType[*validate.Errors](git.Err()); ok {
		for _, field := range wrong.Fields {
			v.Check("git."+field.Field, false, field.Message)
		}
	}
	return command
}

func agentOf(agent *buildspec.Agent) *agentRequest {
	if agent == nil {
		return nil
	}
	request := agentRequest{
		Provider: agent.Provider, Prompt: agent.Prompt, Model: agent.Model, Session: agent.Session, Permissions: agent.Permissions,
	}
	if l := agent.Limits; l != nil {
		request.Limits = &limitRequest{Wall: l.Wall, Silence: l.Silence, Turns: l.Turns, Tokens: l.Tokens, CostUSD: l.CostUSD}
	}
	return &request
}
