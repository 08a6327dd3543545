package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

func newRunCommand(c *cli) *cobra.Command {
	o := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run [flags] [--] ARGV… | --script TEXT | --script-file FILE | --agent PROVIDER PROMPT | --git VERB",
		Short: "Run a command, an agent or git in a project, and follow it",
		Long: `Run something in a project and follow it: its stdout and stderr come out as they
are, byte for byte, and rdev exits with its exit code.

Of an agent, what it says goes to stdout; what it does, its result and its cost
go to stderr. A prompt or a script of "-" is read from stdin.

With --needs-approval it does not start before somebody has approved it, and with
--ask an agent waits for that before each tool that changes something: see
` + "`rdev approvals`" + `.

Ctrl-C asks for the cancel and keeps following to the end; Ctrl-C again leaves.
Without -p, the project is RDEV_PROJECT, or the only one there is.

Exit codes: that of the command; 1 where it failed without one, 130 where it was
cancelled, 2 for a mistake in the command line.`,
		Example: `  rdev run -p shop -- go test ./...
  rdev run ls -la                                  # flags of rdev come first
  rdev run -e CI=true --timeout 10m --script 'make build && make test'
  rdev run --script-file deploy.sh
  rdev run --agent claude-code "fix the failing test"
  rdev run --agent opencode --session ses_1 --cost 2.50 - < prompt.md
  rdev run --agent claude-code --ask "upgrade the dependencies"
  rdev run --needs-approval --approval-timeout 4h -- make release
  rdev run --git clone                             # the repository of the project
  rdev run --git clone --repo https://git.example.com/shop.git --depth 1
  rdev run --git commit --message "Fix the cart"
  id=$(rdev run --detach -- make release); rdev ops output "$id"`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, o, args) },
	}
	o.add(cmd)
	c.projectFlag(cmd, &o.project, "project to run in (RDEV_PROJECT)")
	flags := cmd.Flags()
	flags.StringVar(&o.git.Verb, "git", "", "git verb: "+strings.Join(contract.GitVerbs(), ", "))
	flags.StringVar(&o.git.URL, "repo", "", "git: address of the repository to clone (the project's own)")
	flags.StringVar(&o.git.Ref, "ref", "", "git: branch, tag or commit")
	flags.StringVar(&o.git.Message, "message", "", "git: message of the commit")
	flags.StringVar(&o.git.Name, "name", "", "git: name of the branch")
	flags.BoolVar(&o.git.Create, "create", false, "git: make the branch")
	flags.IntVar(&o.git.Depth, "depth", 0, "git: commits to clone, all where 0")
	flags.IntVar(&o.git.Limit, "limit", 0, "git: commits to log, 50 where 0")
	flags.StringArrayVar(&o.git.Paths, "path", nil, "git: path to commit, diff or log (repeatable)")
	flags.StringVar(&o.git.Author, "author", "", `git: author of the commit, "Name <mail>"`)
	flags.StringVar(&o.git.Remote, "remote", "", "git: where to push, or to pull from")
	flags.BoolVar(&o.git.Force, "force", false, "git: push over what is there, with lease")
	must(cmd.RegisterFlagCompletionFunc("git", cobra.FixedCompletions(contract.GitVerbs(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (c *cli) run(cmd *cobra.Command, o *runFlags, args []string) error {
	command, err := o.command(cmd, args)
	if err != nil {
		return err
	}
	return c.start(cmd, o.startFlags, c.follows, func(ctx context.Context, api *client.Client) (client.Accepted, error) {
		project, err := c.project(ctx, api, o.project)
		if err != nil {
			return client.Accepted{}, err
		}
		return api.Run(ctx, project, command, o.key)
	})
}

// note tells people something beside the output.
func (c *cli) note(cmd *cobra.Command, format string, args ...any) {
	w := cmd.ErrOrStderr()
	fmt.Fprintln(w, c.style(w).Dim("rdev: "+fmt.Sprintf(format, args...)))
}
