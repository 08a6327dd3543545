package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// completionTimeout bounds how long a press of the tab key may take.
const completionTimeout = 2 * time.Second

// listFlags are of what lists operations.
type listFlags struct {
	filter client.OperationFilter
	since  string
	all    bool
}

func (o *listFlags) add(c *cli, cmd *cobra.Command) {
	flags := cmd.Flags()
	stateFlag(cmd, &o.filter.State)
	c.projectFlag(cmd, &o.filter.Project, "of this project only")
	flags.StringVar(&o.since, "since", "", "created since then: 2h, or 2026-11-25T10:00:00Z")
	flags.IntVar(&o.filter.Limit, "limit", 0, "at most so many (the gateway's default)")
	flags.BoolVar(&o.all, "all", false, "all pages")
}

// pageOf is one page of operations of some sort, and the cursor of the next, "" on the
// last one.
type pageOf func(ctx context.Context, api *client.Client, filter client.OperationFilter) (page []client.Operation, next string, err error)

// list reads as much of a list as flags ask for, and tells whether there is more.
func (c *cli) list(cmd *cobra.Command, o *listFlags, read pageOf) ([]client.Operation, bool, error) {
	filter := o.filter
	var err error
	if filter.Since, err = parseSince(o.since, time.Now()); err != nil {
		return nil, false, usagef(cmd, "%v", err)
	}
	if err := checkStates(cmd, filter.State); err != nil {
		return nil, false, err
	}
	api, err := c.connect()
	if err != nil {
		return nil, false, err
	}
	return readPages(o.filter.Limit, o.all, func(limit int, cursor string) ([]client.Operation, string, error) {
		filter.Limit, filter.Cursor = limit, cursor
		return read(cmd.Context(), api, filter)
	})
}

// stateFlag adds --state with completion.
func stateFlag(cmd *cobra.Command, target *string) {
	cmd.Flags().StringVar(target, "state", "", "pending, running, completed, failed, cancelled, or several with commas")
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(
		[]cobra.Completion{"pending", "running", "completed", "failed", "cancelled"}, cobra.ShellCompDirectiveNoFileComp)))
}

// checkStates wants states with commas between them, or nothing.
func checkStates(cmd *cobra.Command, states string) error {
	for state := range strings.SplitSeq(states, ",") {
		if states != "" && !contract.State(state).Valid() {
			return usagef(cmd, "--state %s is not known: pending, running, completed, failed, cancelled", state)
		}
	}
	return nil
}

// readPages reads pages until there are as many as most, 0 for one page, or with
// all, until there are no more. It tells whether there are.
func readPages[T any](most int, all bool, read func(limit int, cursor string) (page []T, next string, err error)) ([]T, bool, error) {
	list, cursor := []T{}, ""
	for {
		page, next, err := read(min(most, contract.MaxPage), cursor)
		if err != nil {
			return nil, false, err
		}
		list = append(list, page...)
		more := next != "" && next != cursor
		if !all && most > 0 && len(list) > most {
			return list[:most], true, nil
		}
		if !more || (!all && len(list) >= most) {
			return list, more, nil
		}
		cursor = next
	}
}

// noteMore tells how to see what a list left out.
func (c *cli) noteMore(cmd *cobra.Command, more bool) {
	if more {
		c.note(cmd, "there are more: --limit, --all")
	}
}

// parseSince reads a time, or how long ago it was.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago.Abs()), nil
	}
	since, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return since, fmt.Errorf("--since %q is neither like 2h nor like 2026-11-25T10:00:00Z", text)
	}
	return since, nil
}

// completes completes ids of operations of some sort that are in one of these states, any
// where that is "": of one, or of as many as are wanted.
func (c *cli) completes(many bool, states string, read pageOf) cobra.CompletionFunc {
	return func(cmd *cobra.Command, named []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		api, err := c.connect()
		if err != nil || len(named) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		page, _, err := read(ctx, api, client.OperationFilter{State: states})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []cobra.Completion
		for _, op := range page {
			if !slices.Contains(named, op.ID) {
				about := strings.Join([]string{op.Kind, op.Project, string(op.State)}, " ")
				ids = append(ids, cobra.CompletionWithDesc(op.ID, render.Line(about)))
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
