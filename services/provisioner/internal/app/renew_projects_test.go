package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// view is a list of projects, sorted by slug.
type view []contract.Project

func (v view) Position(context.Context) (uint64, error) { return 0, nil }

func (v view) List(_ context.Context, _ []string, after string, limit int) ([]contract.Project, error) {
	rest := v
	for len(rest) > 0 && rest[0].Slug <= after {
		rest = rest[1:]
	}
	return rest[:min(limit, len(rest))], nil
}

func TestEveryProjectIsRenewed(t *testing.T) {
	var all view
	var want []string
	for i := range 2*contract.MaxPage + 1 {
		slug := fmt.Sprintf("p-%06d", i)
		all, want = append(all, contract.Project{Slug: slug}), append(want, slug)
	}
	for _, n := range []int{0, 1, contract.MaxPage, 2*contract.MaxPage + 1} {
		l := &log{}
		if err := (&app.App{View: all[:n], Projects: l}).RenewProjects(t.Context()); err != nil || !slices.Equal(l.renewed, want[:n]) {
			t.Errorf("%d of %d are renewed: %v", len(l.renewed), n, err)
		}
	}
	l := &log{renewErr: errors.New("away")}
	if err := (&app.App{View: all, Projects: l}).RenewProjects(t.Context()); err == nil || len(l.renewed) != 1 {
		t.Errorf("%d are renewed where the log is away: %v", len(l.renewed), err)
	}
}
