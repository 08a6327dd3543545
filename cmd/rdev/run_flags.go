package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

// runFlags are the flags of `rdev run`. Which of them belong together is
// checked by command.
type runFlags struct {
	commandFlags
	project string
	git     contract.Git
}

// gitOnly are the flags that nothing but git knows.
const gitOnly = "repo ref message name create depth limit path author remote force"

// command makes the request of flags and arguments.
func (o *runFlags) command(cmd *cobra.Command, args []string) (command client.Command, err error) {
	command.Kind = "shell"
	if command.Terms, err = o.terms(cmd); err != nil {
		return command, err
	}
	kind, err := kindOf(cmd, kindFlag{name: "script"}, kindFlag{name: "script-file"}, kindFlag{"agent", agentOnly}, kindFlag{"git", gitOnly})
	if err != nil {
		return command, err
	}
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

func (o *runFlags) gitCommand(cmd *cobra.Command, args []string) (*contract.Git, error) {
	if len(args) > 0 {
		return nil, usagef(cmd, "%q is too much: --git takes flags only", args[0])
	}
	if verbs := contract.GitVerbs(); !slices.Contains(verbs, o.git.Verb) {
		return nil, usagef(cmd, "--git %s is not known: %s", o.git.Verb, strings.Join(verbs, ", "))
	}
	return &o.git, nil
}
