package git

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// user is the name that goes with a token. No other is refused: the token alone counts.
const user = "rdev"

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
	if err := f.adopt(slug, adopt); err != nil {
		return app.Repository{}, fmt.Errorf("note what repository the project %s has: %w", slug, err)
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

// adopt notes what repository a project has taken over, "" for none. A token for another
// one is worth nothing any more.
func (f *Forge) adopt(slug, name string) error {
	before, err := f.note(slug, adoptedName(slug))
	if err != nil || before == name {
		return err
	}
	if err := f.dropNote(slug, tokenName(slug)); err != nil {
		return err
	}
	if name == "" {
		return f.dropNote(slug, adoptedName(slug))
	}
	return f.setNote(slug, adoptedName(slug), name)
}

// init makes the repository of a project, and then gives it its name.
func (f *Forge) init(ctx context.Context, slug string) error {
	aside, err := f.aside(slug, "new")
	if err != nil {
		return err
	}
	if err := f.root.Mkdir(aside, 0o700); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--template=", "--initial-branch=" + branch, "--object-format=sha1", f.path(aside)},
		{"config", "--file", f.path(aside + "/config"), "rdev.installation", f.installation},
		{"config", "--file", f.path(aside + "/config"), "rdev.project", slug},
	} {
		if _, err := f.git(ctx, call{}, args...); err != nil {
			return err
		}
	}
	if err := f.syncAll(aside); err != nil {
		return err
	}
	return f.place(aside, ownName(slug))
}

// Grant implements app.Repositories.
func (f *Forge) Grant(ctx context.Context, slug string, r app.Repository) (app.Access, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, err := f.where(ctx, slug)
	if err == nil && (name == "" || name != r.Name) {
		err = fmt.Errorf("the project has %q", name)
	}
	if err == nil {
		err = f.sweep(slug)
	}
	if err != nil {
		return app.Access{}, fmt.Errorf("let the project %s into the repository %s: %w", slug, r.Name, err)
	}
	token := rand.Text()
	hash := sha256.Sum256([]byte(token))
	if err := f.setNote(slug, tokenName(slug), hex.EncodeToString(hash[:])); err != nil {
		return app.Access{}, fmt.Errorf("keep the token of the repository %s: %w", name, err)
	}
	return app.Access{User: user, Token: token}, nil
}

// admits tells whether a token lets into the repository of a project. There may be no
// such project.
func (f *Forge) admits(slug, token string) bool {
	known, err := f.note(slug, tokenName(slug))
	if err != nil {
		known = ""
	}
	hash := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(hash[:])), []byte(known)) == 1
}
