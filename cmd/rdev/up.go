package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/up"
	"github.com/orchard9/rdev/libs/envutil"
)

func newUpCommand(c *cli) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run all of rdev on this machine",
		Long: `Runs the five services, NATS and PostgreSQL in one process tree, and commands on
this machine, confined as far as its kernel allows (rdev doctor tells how far).
State is kept in $RDEV_HOME (~/.rdev). SIGTERM or Ctrl-C stops everything.`,
		Example: `  rdev up
  RDEV_HOME=/tmp/try RDEV_ADDR=127.0.0.1:0 RDEV_NATS_ADDR=127.0.0.1:0 rdev up`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := envutil.Load[up.Config]()
			if err != nil {
				return err
			}
			if cfg.Home, err = c.home(); err != nil {
				return err
			}
			if cfg.Runner, err = runnerPath(); err != nil {
				return err
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelInfo
			}
			log, file, err := up.OpenLog(cfg.Home, cmd.ErrOrStderr(), level)
			if err != nil {
				return err
			}
			defer file.Close()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return up.Run(ctx, cfg, log, func(r up.Ready) { up.Announce(cmd.OutOrStdout(), r) })
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what the services do")
	return cmd
}

// runnerPath is where rdev-runner is: beside this program.
func runnerPath() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find rdev itself: %w", err)
	}
	return filepath.Join(filepath.Dir(program), "rdev-runner"), nil
}
