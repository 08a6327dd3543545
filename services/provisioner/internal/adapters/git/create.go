package git

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Create implements app.Repositories.
func (f *Forge) Create(ctx context.Context, slug, adopt string) (app.Repository, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, err := f.Plan(ctx, slug, adopt)
	if err != nil {
		return app.Repository{}, err
	}
	if err := f.sweep(slug); err != nil {
		return app.Repository{}, fmt.Errorf("tidy up before the repository %s: %w", name, err)
	}
	if err := f.note1(slug, adopt); err != nil {
		return app.Repository{}, fmt.Errorf("note what the project %s has: %w", slug, err)
	}
	if adopt != "" {
		branch, err := f.adoptable(ctx, slug, adopt)
		return f.repository(slug, name, branch), err
	}
	there, err := f.own(ctx, slug)
	if err == nil && !there {
		err = f.init(ctx, slug)
	}
	if err != nil {
		return app.Repository{}, fmt.Errorf("make the repository %s: %w", name, err)
	}
	return f.repository(slug, name, branch), nil
}
