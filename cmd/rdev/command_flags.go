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

// commandFlags are the flags of whatever runs a program, a script or an agent.
type commandFlags struct {
	startFlags
	workdir          string
	timeout          time.Duration
	env, credentials []string

	needsApproval   bool
	approvalTimeout time.Duration
	approvalDefault string

	script, scriptFile string
	agent              contract.Agent
	ask                bool
	wall, silence      time.Duration
}

// agentOnly are the flags that nothing but an agent knows.
const agentOnly = "model session ask wall silence turns max-tokens cost"

func (o *commandFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	// What comes after the first word is the command's own.
	flags.SetInterspersed(false)
	o.startFlags.add(cmd)
	flags.DurationVar(&o.timeout, "timeout", 0, "end it after this long, such as 10m")
	flags.StringVar(&o.workdir, "workdir", "", "directory in the workspace to run in")
	flags.StringArrayVarP(&o.env, "env", "e", nil, "KEY=value for its environment; no place for secrets (repeatable)")
	flags.StringArrayVar(&o.credentials, "credential", nil, "name of a stored secret for its environment (repeatable)")
	flags.BoolVar(&o.needsApproval, "needs-approval", false, "do not start before somebody has approved it")
	flags.DurationVar(&o.approvalTimeout, "approval-timeout", 0, "how long an approval may take, up to 168h (24h)")
	flags.StringVar(&o.approvalDefault, "approval-default", "", "what is decided after that: denied or approved (denied)")
	flags.StringVar(&o.script, "script", "", "script for /bin/sh")
	flags.StringVar(&o.scriptFile, "script-file", "", "file with a script, - for stdin")

	flags.StringVar(&o.agent.Provider, "agent", "", "give PROMPT to this agent: claude-code, opencode, codex, gemini")
	flags.StringVar(&o.agent.Model, "model", "", "agent: model to use")
	flags.StringVar(&o.agent.Session, "session", "", "agent: session to go on with")
	flags.BoolVar(&o.ask, "ask", false, "agent: ask for an approval of each tool that changes something")
	flags.DurationVar(&o.wall, "wall", 0, "agent: most time it may take")
	flags.DurationVar(&o.silence, "silence", 0, "agent: longest time without a sign of life")
	flags.IntVar(&o.agent.Limits.Turns, "turns", 0, "agent: most calls of its model")
	flags.Int64Var(&o.agent.Limits.Tokens, "max-tokens", 0, "agent: most tokens in and out, without those from a cache")
	flags.Float64Var(&o.agent.Limits.CostUSD, "cost", 0, "agent: most it may cost, in USD")
	must(cmd.RegisterFlagCompletionFunc("approval-default", cobra.FixedCompletions(
		[]cobra.Completion{string(contract.ApprovalDenied), string(contract.ApprovalApproved)}, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("agent", cobra.FixedCompletions(
		[]cobra.Completion{"claude-code", "opencode", "codex", "gemini"}, cobra.ShellCompDirectiveNoFileComp)))
}

// kindFlag says by itself of what kind a command is. Only are the other flags that no
// other kind knows.
type kindFlag struct{ name, only string }

// kindOf is the one of the flags that is given, "" for none.
func kindOf(cmd *cobra.Command, kinds ...kindFlag) (string, error) {
	given := ""
	for _, kind := range kinds {
		if !cmd.Flags().Changed(kind.name) {
			continue
		}
		if given != "" {
			return "", usagef(cmd, "--%s and --%s do not go together", given, kind.name)
		}
		given = kind.name
	}
	var stray error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		for _, kind := range kinds {
			if stray == nil && kind.name != given && slices.Contains(strings.Fields(kind.only), flag.Name) {
				stray = usagef(cmd, "--%s goes with --%s only", flag.Name, kind.name)
			}
		}
	})
	return given, stray
}

// terms are on what terms it runs.
func (o *commandFlags) terms(cmd *cobra.Command) (client.Terms, error) {
	terms := client.Terms{Workdir: o.workdir, Credentials: o.credentials, Timeout: contract.Duration(o.timeout)}
	var err error
	if terms.Env, err = pairs(cmd, "-e", o.env); err != nil {
		return terms, err
	}
	for _, name := range []string{"approval-timeout", "approval-default"} {
		if cmd.Flags().Changed(name) && !o.needsApproval && !o.ask {
			return terms, usagef(cmd, "--%s goes with --needs-approval or --ask only", name)
		}
	}
	if cmd.Flags().Changed("approval-timeout") && o.approvalTimeout <= 0 {
		return terms, usagef(cmd, "--approval-timeout %s is no time to wait", o.approvalTimeout)
	}
	if o.needsApproval {
		terms.Approval = contract.ApprovalRequired
	}
	terms.ApprovalTimeout = contract.Duration(o.approvalTimeout)
	terms.ApprovalDefault = contract.ApprovalState(o.approvalDefault)
	switch terms.ApprovalDefault {
	case "", contract.ApprovalApproved, contract.ApprovalDenied:
		return terms, nil
	case contract.ApprovalOpen, contract.ApprovalWithdrawn:
	}
	return terms, usagef(cmd, "--approval-default %s is not known: denied or approved", o.approvalDefault)
}

// pairs reads what a flag was given as KEY=value, nil for nothing.
func pairs(cmd *cobra.Command, flag string, given []string) (map[string]string, error) {
	var all map[string]string
	for _, pair := range given {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return nil, usagef(cmd, "%s %q is not KEY=value", flag, pair)
		}
		if all == nil {
			all = map[string]string{}
		}
		all[name] = value
	}
	return all, nil
}

func (o *commandFlags) agentCommand(cmd *cobra.Command, args []string) (*contract.Agent, error) {
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

func (o *commandFlags) scriptCommand(cmd *cobra.Command, kind string, args []string) (*contract.Shell, error) {
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
