package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
)

func newEnvCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "env", Short: "Print the environment of curl, the nats CLI and others", Args: arguments(),
		Long: `Prints shell commands that set RDEV_API_URL, RDEV_API_KEY and, for the rdev of this
machine, NATS_URL.`,
		Example: `  eval "$(rdev env)"
  curl -H "X-API-Key: $RDEV_API_KEY" $RDEV_API_URL/projects
  nats stream ls`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, key, err := c.target()
			if err != nil {
				return err
			}
			lines := fmt.Sprintf("export RDEV_API_URL='%s'\nexport RDEV_API_KEY='%s'\n", url, key)
			here, err := c.local()
			switch {
			case err == nil && here.URL == url:
				lines += fmt.Sprintf("export NATS_URL='%s'\n", here.NATSURL)
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), lines)
			return err
		},
	}
}
