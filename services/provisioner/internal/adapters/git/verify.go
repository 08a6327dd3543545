package git

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Verify implements app.Repositories.
func (f *Forge) Verify(ctx context.Context, slug, adopt string) ([]string, error) {
	name, err := f.Plan(ctx, slug, adopt)
	if known, ok := errors.AsType[*app.StepError](err); ok {
		return []string{known.Failure.Message}, nil
	}
	if err != nil {
		return nil, err
	}
	var differences []string
	adopted, err := f.note(slug, adoptedName(slug))
	if err != nil {
		return nil, err
	}
	if adopted != adopt {
		differences = append(differences, fmt.Sprintf("the repository of the project is noted as adopted from %q, not from %q", adopted, adopt))
	}
	if adopt == "" {
		if is, err := f.bare(ctx, name); err != nil || !is {
			if _, ok := errors.AsType[*app.StepError](err); err != nil && !ok {
				return nil, err
			}
			differences = append(differences, "the repository "+f.path(name)+" is not there, or not whole")
		}
	}
	token, err := f.note(slug, tokenName(slug))
	if err != nil {
		return nil, err
	}
	if token == "" {
		differences = append(differences, "there is no token for the repository "+f.path(name))
	}
	return differences, nil
}
