package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Files is the store of files, of which the provisioner removes what nobody wants any
// more.
type Files interface {
	// Sweep deletes what is under a prefix and was last written before a time. It tells
	// how many files that were, also with an error.
	Sweep(ctx context.Context, prefix string, before time.Time) (removed int, err error)
	// DeleteAll deletes all that is under a prefix; nothing is no error.
	DeleteAll(ctx context.Context, prefix string) error
}

// FilesAge is for how long files are kept that nobody writes again, 0 for ever.
type FilesAge struct {
	Artifacts, Caches time.Duration
}

// SweepFiles deletes artifacts and caches that are too old. It goes on after an error and
// returns all.
func (a *App) SweepFiles(ctx context.Context, age FilesAge) (removed int, err error) {
	artifacts, artifactsErr := a.sweep(ctx, contract.ArtifactsPrefix(""), age.Artifacts)
	caches, cachesErr := a.sweep(ctx, contract.CachesPrefix(""), age.Caches)
	return artifacts + caches, errors.Join(artifactsErr, cachesErr)
}

func (a *App) sweep(ctx context.Context, prefix string, age time.Duration) (removed int, err error) {
	if age == 0 {
		return 0, nil
	}
	if removed, err = a.Files.Sweep(ctx, prefix, time.Now().Add(-age)); err != nil {
		err = fmt.Errorf("sweep %s: %w", prefix, err)
	}
	return removed, err
}

// forgetFiles deletes the files of a project.
func (a *App) forgetFiles(ctx context.Context, project string) error {
	for _, prefix := range []string{contract.ArtifactsPrefix(project), contract.CachesPrefix(project)} {
		if err := a.Files.DeleteAll(ctx, prefix); err != nil {
			return fmt.Errorf("files of project %s: %w", project, err)
		}
	}
	return nil
}
