package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

// runFlags are the flags of `rdev run`. Which of them belong together is
// checked by command.
type runFlags struct {
	project, workdir, key string
	timeout               time.Duration
	env, credentials      []string
	detach                bool

	needsApproval   bool
	approvalTimeout time.Duration
	approvalDefault string

	script, scriptFile string
	agent              contract.Agent
	ask                bool
	wall, silence      time.Duration
	git                contract.Git
}

// Flags that say what kind of command it is, and those that only one kind knows.
const (
	agentOnly = "model session ask wall silence turns max-tokens cost"
	gitOnly   = "repo ref message name create depth limit path author remote force"
)

// command makes the request of flags and arguments.
func (o *runFlags) command(cmd *cobra.Command, args []string) (client.Command, error) {
	command := client.Command{Workdir: o.workdir, Credentials: o.credentials, Timeout: contract.Duration(o.timeout)}
	for _, pair := range o.env {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return command, usagef(cmd, "-e %q is not KEY=value", pair)
		}
		if command.Env == nil {
			command.Env = map[string]string{}
		}
		command.Env[name] = value
	}
	kind, err := o.kind(cmd)
	if err != nil {
		return command, err
	}
	if err := o.approvals(cmd, &command); err != nil {
		return command, err
	}
	command.Kind = "shell"
	switch kind {
	case "agent":
		command.Kind = "agent"
		command.Agent, err = o.agentCommand(cmd, args)
	case "git":
		command.Kind = "git"
		command.Git, err = o.gitCommand(cmd, args)
	case "script", "script-file":
		command.Shell, err = o.scriptCommand(cmd, kind, args)
	default:
		if len(args) == 0 {
			return command, usagef(cmd, "what to run is missing: a command, --script, --agent or --git")
		}
		command.Shell = &contract.Shell{Argv: args}
	}
	return command, err
}

// approvals sets what the command waits for, and for how long.
func (o *runFlags) approvals(cmd *cobra.Command, command *client.Command) error {
	for _, name := range []string{"approval-timeout", "approval-default"} {
		if cmd.Flags().Changed(name) && !o.needsApproval && !o.ask {
			return usagef(cmd, "--%s goes with --needs-approval or --ask only", name)
		}
	}
	if cmd.Flags().Changed("approval-timeout") && o.approvalTimeout <= 0 {
		return usagef(cmd, "--approval-timeout %s is no time to wait", o.approvalTimeout)
	}
	if o.needsApproval {
		command.Approval = contract.ApprovalRequired
	}
	command.ApprovalTimeout = contract.Duration(o.approvalTimeout)
	command.ApprovalDefault = contract.ApprovalState(o.approvalDefault)
	switch command.ApprovalDefault {
	case "", contract.ApprovalApproved, contract.ApprovalDenied:
		return nil
	case contract.ApprovalOpen, contract.ApprovalWithdrawn:
	}
	return usagef(cmd, "--approval-default %s is not known: denied or approved", o.approvalDefault)
}

// kind is the one flag that says what to run, "" for a plain command.
func (o *runFlags) kind(cmd *cobra.Command) (string, error) {
	kind := ""
	for _, name := range []string{"script", "script-file", "agent", "git"} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		if kind != "" {
			return "", usagef(cmd, "--%s and --%s do not go together", kind, name)
		}
		kind = name
	}
	var stray error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		for _, owner := range []struct{ kind, flags string }{{"agent", agentOnly}, {"git", gitOnly}} {
			if stray == nil && kind != owner.kind && slices.Contains(strings.Fields(owner.flags), flag.Name) {
				stray = usagef(cmd, "--%s goes with --%s only", flag.Name, owner.kind)
			}
		}
	})
	return kind, stray
}

func (o *runFlags) agentCommand(cmd *cobra.Command, args []string) (*contract.Agent, error) {
	switch {
	case len(args) == 0:
		return nil, usagef(cmd, "the prompt is missing (- reads it from stdin)")
	case len(args) > 1 && strings.HasPrefix(args[1], "-"):
		return nil, usagef(cmd, "%s must come before the prompt", args[1])
	case len(args) > 1:
		return nil, usagef(cmd, "the prompt must be one argument: put it in quotes")
	}
	agent := o.agent
	agent.Limits.Wall, agent.Limits.Silence = contract.Duration(o.wall), contract.Duration(o.silence)
	if o.ask {
		agent.Permissions = contract.PermissionsAsk
	}
	agent.Prompt = args[0]
	if agent.Prompt == "-" {
		text, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("read the prompt from stdin: %w", err)
		}
		agent.Prompt = string(text)
	}
	if strings.TrimSpace(agent.Prompt) == "" {
		return nil, usagef(cmd, "the prompt is empty")
	}
	return &agent, nil
}

func (o *runFlags) gitCommand(cmd *cobra.Command, args []string) (*contract.Git, error) {
	if len(args) > 0 {
		return nil, usagef(cmd, "%q is too much: --git takes flags only", args[0])
	}
	if verbs := contract.GitVerbs(); !slices.Contains(verbs, o.git.Verb) {
		return nil, usagef(cmd, "--git %s is not known: %s", o.git.Verb, strings.Join(verbs, ", "))
	}
	return &o.git, nil
}

func (o *runFlags) scriptCommand(cmd *cobra.Command, kind string, args []string) (*contract.Shell, error) {
	if len(args) > 0 {
		return nil, usagef(cmd, "%q is too much beside --%s", args[0], kind)
	}
	script := o.script
	if kind == "script-file" {
		var text []byte
		var err error
		if o.scriptFile == "-" {
			text, err = io.ReadAll(cmd.InOrStdin())
		} else {
			text, err = os.ReadFile(o.scriptFile)
		}
		if err != nil {
			return nil, fmt.Errorf("read the script: %w", err)
		}
		script = string(text)
	}
	if strings.TrimSpace(script) == "" {
		return nil, usagef(cmd, "the script is empty")
	}
	return &contract.Shell{Script: script}, nil
}
