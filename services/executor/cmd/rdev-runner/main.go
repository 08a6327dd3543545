// Command rdev-runner runs the programs of a workspace and keeps their output
// and exit status. See package runner.
package main

import (
	"context"
	"os"

	"github.com/orchard9/rdev/services/executor/internal/runner"
)

func main() {
	os.Exit(runner.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
