package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what this program was built from.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Tell the version of this program", Args: arguments(),
		Example: "  rdev version\n  rdev version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			version := buildVersion()
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), version)
			}
			text := "rdev " + version.Version
			if version.Commit != "" {
				text += " (" + version.Commit[:min(12, len(version.Commit))]
				if version.Modified {
					text += ", modified"
				}
				text += ")"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s\n", text, version.Go, version.Platform)
			return err
		},
	}
}

// buildVersion reads what the Go toolchain noted in the binary.
func buildVersion() build {
	found := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		found.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			found.Commit = setting.Value
		case "vcs.modified":
			found.Modified = setting.Value == "true"
		}
	}
	return found
}
