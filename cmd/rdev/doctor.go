package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

// grade is how well something stands.
type grade string

const (
	gradeOK      grade = "ok"
	gradeWarn    grade = "warn"    // rdev works without
	gradeMissing grade = "missing" // rdev does not work without
)

// check is one thing that the doctor looked at.
type check struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Grade   grade  `json:"grade"`
	Detail  string `json:"detail,omitempty"`
	Fix     string `json:"fix,omitempty"` // what to do where it is not ok
}

// doctorTimeout bounds the whole examination.
const doctorTimeout = 30 * time.Second

func newDoctorCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check what rdev needs on this machine, and whether it runs", Args: arguments(),
		Long: `Check the tools that rdev uses, how far this machine confines what runs in projects,
and the gateway. It exits with 1 where something is missing that rdev needs.`,
		Example: "  rdev doctor\n  rdev doctor -o json | jq '.[] | select(.grade != \"ok\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorTimeout)
			defer cancel()
			checks := c.checkTools(ctx)
			checks = append(checks, checkIsolation(ctx)...)
			checks = append(checks, c.checkGateway(ctx)...)
			out := cmd.OutOrStdout()
			var err error
			if c.json() {
				err = writeJSON(out, checks)
			} else {
				err = showChecks(out, c.style(out), checks)
			}
			if err != nil {
				return err
			}
			for _, check := range checks {
				if check.Grade == gradeMissing {
					return &exitError{code: exitFailure}
				}
			}
			return nil
		},
	}
}

func showChecks(w io.Writer, style render.Style, checks []check) error {
	section := ""
	for _, check := range checks {
		if check.Section != section {
			if section != "" {
				fmt.Fprintln(w)
			}
			section = check.Section
			fmt.Fprintln(w, section)
		}
		mark := style.Good("✓ ok     ")
		switch check.Grade {
		case gradeWarn:
			mark = style.Warn("! warn   ")
		case gradeMissing:
			mark = style.Bad("✗ missing")
		}
		if _, err := fmt.Fprintf(w, "  %s  %-14s %s\n", mark, check.Name, render.Line(check.Detail)); err != nil {
			return err
		}
		if check.Fix != "" {
			if _, err := fmt.Fprintf(w, "%14s%s\n", "", style.Dim("→ "+check.Fix)); err != nil {
				return err
			}
		}
	}
	return nil
}
