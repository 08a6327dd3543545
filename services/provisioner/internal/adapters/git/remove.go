package git

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Remove implements app.Repositories. An own repository is first moved aside: a push that
// is going on there meets no new one of that name.
func (f *Forge) Remove(ctx context.Context, slug, adopt string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.takeBack(slug); err != nil || adopt != "" {
		return err
	}
	there, err := f.own(ctx, slug)
	if err == nil && there {
		var aside string
		if aside, err = f.aside(slug, "old"); err == nil {
			err = f.place(ownName(slug), aside)
		}
		err = errors.Join(err, f.sync("."))
	}
	if err == nil {
		err = f.sweep(slug)
	}
	if err != nil {
		return fmt.Errorf("remove the repository %s: %w", ownName(slug), err)
	}
	return nil
}

// takeBack removes what lets a project into a repository, what says which it is, and what
// attempts that died have left aside.
func (f *Forge) takeBack(slug string) error {
	err := f.dropNote(slug, tokenName(slug))
	if err == nil {
		err = f.dropNote(slug, adoptedName(slug))
	}
	if err == nil {
		err = f.sweep(slug)
	}
	if err != nil {
		return fmt.Errorf("take back what let the project %s into its repository: %w", slug, err)
	}
	return nil
}

// Release implements app.Repositories.
func (f *Forge) Release(ctx context.Context, slug, adopt string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.takeBack(slug); err != nil || adopt != "" {
		return err
	}
	there, err := f.own(ctx, slug)
	if _, foreign := errors.AsType[*app.StepError](err); foreign || err == nil && !there {
		return nil // it is nobody's any more, or has not been ours
	}
	if err == nil {
		err = f.unmark(ctx, slug)
	}
	if err != nil {
		return fmt.Errorf("release the repository %s: %w", ownName(slug), err)
	}
	return nil
}

// unmark puts a config without the mark into the place of the one with it. git itself
// would leave a lock there where it is killed.
func (f *Forge) unmark(ctx context.Context, slug string) error {
	config := path.Join(ownName(slug), "config")
	text, err := f.root.ReadFile(config)
	if err != nil {
		return err
	}
	aside, err := f.aside(slug, "config")
	if err != nil {
		return err
	}
	if err := f.write(aside, text); err != nil {
		return err
	}
	if _, err := f.git(ctx, call{}, "config", "--file", f.path(aside), "--remove-section", "rdev"); err != nil {
		return err
	}
	if err := f.sync(aside); err != nil {
		return err
	}
	return f.place(aside, config)
}
