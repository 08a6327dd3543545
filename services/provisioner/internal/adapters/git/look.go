package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// maxName is of the full name of a repository, in bytes.
const maxName = 200

// Plan implements app.Repositories. The full name is the path below the directory.
func (f *Forge) Plan(ctx context.Context, slug, adopt string) (string, error) {
	if !domain.ValidSlug(slug) {
		return "", fmt.Errorf("%q is not a slug", slug)
	}
	name := ownName(slug)
	if adopt != "" {
		name = adopt
	}
	for _, note := range []string{tokenName(slug), adoptedName(slug)} {
		if _, err := f.note(slug, note); err != nil {
			return name, err
		}
	}
	if adopt != "" {
		_, err := f.adoptable(ctx, slug, adopt)
		return name, err
	}
	_, err := f.own(ctx, slug)
	return name, err
}

// own tells whether the repository of a project is there: an error where something else
// is.
func (f *Forge) own(ctx context.Context, slug string) (there bool, err error) {
	name := ownName(slug)
	info, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	marks := []string(nil)
	if info.IsDir() {
		if marks, err = f.marks(ctx, name); err != nil {
			return false, err
		}
	}
	if len(marks) == 2 && marks[0] == "installation "+f.installation && marks[1] == "project "+slug {
		return true, nil
	}
	return false, userError("%s is there, and is not this installation's: move it away, or have the project adopt %q", f.path(name), name)
}

// marks are the settings of a repository that make it somebody's: what, a space, whose.
func (f *Forge) marks(ctx context.Context, name string) ([]string, error) {
	config := path.Join(name, "config")
	info, err := f.root.Lstat(config)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out, err := f.git(ctx, call{}, "config", "--file", f.path(config), "--no-includes", "--null", "--get-regexp", `^rdev\.`)
	if err != nil && exited(err) < 0 {
		return nil, err
	}
	// Where git cannot read it, it is none that we made.
	var marks []string
	for entry := range strings.SplitSeq(out, "\x00") {
		if key, value, ok := strings.Cut(entry, "\n"); ok {
			marks = append(marks, strings.TrimPrefix(key, "rdev.")+" "+value)
		}
	}
	return marks, nil
}

// validName tells whether a repository may have such a full name: no part of it is hidden.
func validName(name string) bool {
	if !fs.ValidPath(name) || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\\' }) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return false
		}
	}
	return true
}

// adoptable tells why a project cannot have a repository that is there, or its branch.
func (f *Forge) adoptable(ctx context.Context, slug, name string) (branch string, err error) {
	there, err := f.bare(ctx, name)
	if err != nil {
		return "", err
	}
	if !there {
		return "", userError("there is no bare repository %s to adopt: name a directory below %s that is one, without links", name, f.dir)
	}
	marks, err := f.marks(ctx, name)
	if err != nil {
		return "", err
	}
	if len(marks) > 0 {
		return "", userError("%s is not there to be adopted: it is the own repository of a project (%s)", f.path(name), strings.Join(marks, ", "))
	}
	other, err := f.adopter(name, slug)
	if err != nil {
		return "", err
	}
	if other != "" {
		return "", userError("%s is adopted by the project %s already", f.path(name), other)
	}
	head, err := f.git(ctx, call{repository: name}, "symbolic-ref", "--quiet", "HEAD")
	branch, ok := strings.CutPrefix(strings.TrimSpace(head), "refs/heads/")
	if exited(err) == 1 || err == nil && !ok {
		return "", userError("the HEAD of %s is no branch: git symbolic-ref HEAD refs/heads/main mends that", f.path(name))
	}
	return branch, err
}

// bare tells whether a name is that of a bare repository, to which no link leads.
func (f *Forge) bare(ctx context.Context, name string) (bool, error) {
	if !validName(name) {
		return false, nil
	}
	parts := strings.Split(name, "/")
	for i := range parts {
		if is, err := f.is(path.Join(parts[:i+1]...), fs.ModeDir); !is {
			return false, err
		}
	}
	for part, kind := range map[string]fs.FileMode{"HEAD": 0, "config": 0, "objects": fs.ModeDir, "refs": fs.ModeDir} {
		if is, err := f.is(path.Join(name, part), kind); !is {
			return false, err
		}
	}
	// Not by --git-dir: this way git refuses what belongs to another user.
	out, err := f.git(ctx, call{env: []string{"GIT_CEILING_DIRECTORIES=" + path.Dir(f.path(name))}}, "-C", f.path(name), "rev-parse", "--is-bare-repository", "--git-dir")
	if err != nil && exited(err) >= 0 {
		return false, userError("git does not take %s: %v", f.path(name), err)
	}
	return out == "true\n.\n", err
}

// is tells whether a name is a file, or a directory, and not a link to one.
func (f *Forge) is(name string, kind fs.FileMode) (bool, error) {
	info, err := f.root.Lstat(name)
	if err != nil {
		return false, ignoreMissing(err)
	}
	return info.Mode().Type() == kind, nil
}

// adopter is the project, but for one, that has adopted a repository, or "".
func (f *Forge) adopter(name, but string) (string, error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		slug, ok := strings.CutSuffix(entry.Name(), ".adopted")
		if !ok || slug == but || !domain.ValidSlug(slug) {
			continue
		}
		has, err := f.note(slug, entry.Name())
		if _, foreign := errors.AsType[*app.StepError](err); err != nil && !foreign {
			return "", err
		}
		if has == name {
			return slug, nil
		}
	}
	return "", nil
}

// where is the name of the repository that a project has, "" where it has none.
func (f *Forge) where(ctx context.Context, slug string) (string, error) {
	if !domain.ValidSlug(slug) {
		return "", fmt.Errorf("%q is not a slug", slug)
	}
	name, err := f.note(slug, adoptedName(slug))
	if err != nil {
		return "", err
	}
	if name == "" {
		there, err := f.own(ctx, slug)
		if err != nil || !there {
			return "", err
		}
		return ownName(slug), nil
	}
	there, err := f.bare(ctx, name)
	if err != nil || !there {
		return "", err
	}
	return name, nil
}
