package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// changeFlags are of what changes a project.
type changeFlags struct{ noWait, dry bool }

func (o *changeFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "print the operation's ID and leave")
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "show what would be done, and do nothing; exits with 1 where it cannot be done")
}

// change has a change of a project carried out, and tells what came of it, or with --dry-run
// what would.
func (c *cli) change(cmd *cobra.Command, how changeFlags, change client.ProjectChange, doing, done string) error {
	if how.dry {
		return c.plan(cmd, change)
	}
	api, err := c.connect()
	if err != nil {
		return err
	}
	accepted, err := api.ChangeProject(cmd.Context(), change, !how.noWait)
	if err != nil {
		return err
	}
	out, operation := cmd.OutOrStdout(), accepted.Operation
	if !how.noWait {
		if operation, err = c.awaitSteps(cmd, api, operation, doing); err != nil {
			return err
		}
	}
	switch {
	case c.json():
		err = writeJSON(out, operation)
	case how.noWait:
		_, err = fmt.Fprintln(out, render.Line(operation.ID))
	}
	if err != nil || how.noWait {
		return err
	}
	if err := outcome(operation.Operation); err != nil || c.json() {
		return err
	}
	if operation.Kind == contract.KindProjectRepair {
		done += ": " + first(strings.Join(render.ProvisionNews(nil, operation.Provisioning), ", "), "nothing was to be done")
	}
	if err := c.done(cmd, done); err != nil {
		return err
	}
	return showMade(cmd, operation.Provisioning)
}

// showMade writes what there is now of what steps have made, and what opens it, a fact to a
// line.
func showMade(cmd *cobra.Command, steps []contract.ProvisionStep) error {
	facts := newFacts(cmd.OutOrStdout())
	var credentials []string
	for _, step := range steps {
		made := step.Action == contract.ProvisionCreate || step.Action == contract.ProvisionAdopt
		if step.State != contract.ProvisionApplied || !made && step.Action != contract.ProvisionRotate {
			continue
		}
		row := func(name string, words ...string) {
			if made {
				facts.row(name, render.Line(strings.Join(words, "")))
			}
		}
		of := step.External
		switch name, _, _ := strings.Cut(step.Name, "/"); name {
		case contract.ResourceRepository:
			row("repository", of[contract.ExternalCloneURL])
		case contract.ResourceAccess:
			if of[contract.ExternalUser] != "" {
				credentials = append(credentials, contract.RepositoryCredentials()...)
				continue
			}
			row("over ssh", of[contract.ExternalCloneURL])
			credentials = append(credentials, contract.RepositoryURL, contract.RepositoryKey)
		case contract.ResourceCI:
			row("ci", of[contract.ExternalURL])
		case contract.ResourceRoute:
			row("domain", of[contract.ExternalURL])
		case contract.ResourceDatabase:
			row("database", of[contract.ExternalDatabase], " at ", of[contract.ExternalHost])
			credentials = append(credentials, contract.DatabaseURL)
		case contract.ResourceCache:
			row("cache", of[contract.ExternalPrefix], " at ", of[contract.ExternalHost])
			credentials = append(credentials, contract.CacheURL)
		}
	}
	facts.row("credentials", strings.Join(credentials, ", "))
	return facts.Flush()
}

// showProvisioning writes the steps of an operation on a project, and how they stand.
func showProvisioning(cmd *cobra.Command, style render.Style, steps []contract.ProvisionStep) error {
	var rows [][]string
	for _, step := range steps {
		rows = append(rows, []string{
			render.Line(step.Name), render.Line(string(step.Action)), style.Provision(step), first(render.About(step), "-"), first(render.Whole(step.Failure), "-"),
		})
	}
	return showPart(cmd, []string{"STEP", "ACTION", style.Plain("STATE"), "WHAT", "WHY"}, rows)
}

// repairHint says what removes what an operation on a project has left, "" where nothing is
// left, or where its failure says so itself.
func repairHint(op contract.Operation) string {
	repair := "rdev projects repair " + render.Line(op.Project)
	left := slices.ContainsFunc(op.Provisioning, func(step contract.ProvisionStep) bool { return step.State == contract.ProvisionLeft })
	if !left || op.Failure != nil && strings.Contains(op.Failure.Message, repair) {
		return ""
	}
	return "Once that can be mended, this removes what is left: " + repair
}
