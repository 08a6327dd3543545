package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/services/executor"
)

func newAgentsParseCommand(_ *cli) *cobra.Command {
	code := 0
	cmd := &cobra.Command{
		Use: "parse PROVIDER [FILE]", Short: "Read an agent's recorded output as rdev would",
		Long: `Read what an agent's command line wrote on stdout, a line of JSON each, and write
the events that rdev makes of it. Without FILE, or where that is -, it reads stdin.`,
		Example: `  claude -p hi --output-format stream-json --verbose | rdev agents parse claude-code
  rdev agents parse codex --exit-code 1 run.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usagef(cmd, "%q is too much", args[2])
			}
			if len(args) == 0 {
				return usagef(cmd, "PROVIDER is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var exit *int
			if cmd.Flags().Changed("exit-code") {
				exit = &code
			}
			in := cmd.InOrStdin()
			if len(args) == 2 && args[1] != "-" {
				file, err := os.Open(args[1])
				if err != nil {
					return fmt.Errorf("read the recording: %w", err)
				}
				defer file.Close()
				in = io.Reader(file)
			}
			return executor.ParseAgent(args[0], exit, in, cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&code, "exit-code", 0, "how the agent's process ended; left out, that is unknown")
	return cmd
}
