package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/envutil"
)

// settings are what the command line reads from the environment.
type settings struct {
	URL         string `env:"RDEV_API_URL"`      // of the gateway
	Key         string `env:"RDEV_API_KEY"`      // API key
	Home        string `env:"RDEV_HOME"`         // where rdev up keeps its state, ~/.rdev
	Project     string `env:"RDEV_PROJECT"`      // default of --project
	DatabaseURL string `env:"RDEV_DATABASE_URL"` // for doctor: whether rdev up needs a PostgreSQL of its own
	NoColor     string `env:"NO_COLOR"`
	Terminal    string `env:"TERM"`
}

// cli is what all commands share: the environment and the global flags.
type cli struct {
	settings settings

	url, key string
	output   string // text, plain, json
	noColor  bool
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	env, err := envutil.Load[settings]()
	if err != nil {
		return report(errOut, err)
	}
	root := newRootCommand(&cli{settings: env})
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	return report(errOut, root.ExecuteContext(ctx))
}

func newRootCommand(c *cli) *cobra.Command {
	root := group("rdev", "Run agents, shell and git commands in projects, durably", `rdev runs work in projects and keeps its output, its exit code and its history,
whatever becomes of the connection in between.

It speaks to the gateway at RDEV_API_URL with the key in RDEV_API_KEY, or else to
the one that `+"`rdev up`"+` has started on this machine.`)
	root.Example = `  rdev up                                         # everything, on this machine
  rdev projects create shop
  rdev run -p shop -- go test ./...               # follows, exits with its code
  rdev run -p shop --agent claude-code "fix the failing test"
  rdev work run -p shop --kind test --repo https://git.example.com/shop.git -- make test
  rdev builds run -p shop                         # the steps of build.yml
  rdev ops list --state running
  rdev tail                                       # every event, live`
	forms := []string{"text", "plain", "json"}
	root.SilenceErrors, root.SilenceUsage = true, true
	flags := root.PersistentFlags()
	flags.StringVar(&c.url, "url", "", "address of the gateway (RDEV_API_URL)")
	flags.StringVar(&c.key, "key", "", "API key (better kept in RDEV_API_KEY)")
	flags.StringVarP(&c.output, "output", "o", "text", "form of the output: text, plain (nothing moves, no colors) or json")
	flags.BoolVar(&c.noColor, "no-color", false, "write without colors (NO_COLOR)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(forms, c.output) {
			return usagef(cmd, "-o %s is not known: %s", c.output, strings.Join(forms, ", "))
		}
		return nil
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef(cmd, "%v", err) })
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		forms, cobra.ShellCompDirectiveNoFileComp)))
	root.AddCommand(
		newRunCommand(c),
		newWorkCommand(c),
		newBuildsCommand(c),
		newPipelinesCommand(c),
		newWorkersCommand(c),
		newOpsCommand(c),
		newApprovalsCommand(c),
		newTailCommand(c),
		newWebhooksCommand(c),
		newProjectsCommand(c),
		newDomainsCommand(c),
		newComponentsCommand(c),
		newDatabasesCommand(c),
		newCachesCommand(c),
		newRepositoriesCommand(c),
		newKeysCommand(c),
		newCredentialsCommand(c),
		newAgentsCommand(c),
		newTemplatesCommand(c),
		newDoctorCommand(c),
		newUpCommand(c),
		newDeployCommand(),
		newEnvCommand(c),
		newVersionCommand(c),
	)
	return root
}

// group is a command that only holds others.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		Args:                       cobra.ArbitraryArgs,
		DisableFlagsInUseLine:      true,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			text := fmt.Sprintf("there is no command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				text += fmt.Sprintf(", did you mean %s?", strings.Join(near, " or "))
			}
			return usagef(cmd, "%s", text)
		},
	}
}

// arguments checks that a command has exactly the arguments named.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef(cmd, "%s is missing", strings.Join(names[len(args):], " "))
		}
		if len(args) > len(names) {
			return usagef(cmd, "%q is too much", args[len(names)])
		}
		return nil
	}
}

// style says whether text for w may have colors.
func (c *cli) style(w io.Writer) render.Style {
	refused := c.noColor || c.settings.NoColor != "" || c.settings.Terminal == "dumb" || c.output == "plain"
	return render.Style{Color: !refused && isTerminal(w)}
}

func (c *cli) json() bool { return c.output == "json" }

// writeJSON writes a value for people with jq: indented, with an end of line.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeJSONLine writes a value on a line of its own.
func writeJSONLine(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// must is for what only a mistake in this program can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
