package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

const (
	// trailer has the operation, in the message of its commit.
	trailer = "Rdev-Operation"
	// recent is how many commits of a branch are searched for it.
	recent = 50
	// maxPath is of a file in a repository, in bytes.
	maxPath = 1 << 10
)

// validPath tells whether a file in a repository may be called so.
func validPath(name string) bool {
	if !fs.ValidPath(name) || name == "." || len(name) > maxPath || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") || strings.EqualFold(part, "git~1") {
			return false
		}
	}
	return true
}

// Commit implements app.Repositories.
func (f *Forge) Commit(ctx context.Context, r app.Repository, c app.Commit) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range c.Files {
		if !validPath(name) {
			return "", fmt.Errorf("commit to the repository %s: %q is no path of a file", r.Name, name)
		}
	}
	if c.Operation == "" || strings.ContainsFunc(c.Operation, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return "", fmt.Errorf("commit to the repository %s: %q is no operation", r.Name, c.Operation)
	}
	name, err := f.where(ctx, r.ID)
	if err == nil && (name == "" || name != r.Name) {
		err = fmt.Errorf("the project has %q", name)
	}
	if err == nil {
		err = f.sweep(r.ID)
	}
	var commit string
	if err == nil {
		commit, err = f.commit(ctx, r, c)
	}
	if err != nil {
		return "", fmt.Errorf("commit to the repository %s: %w", r.Name, err)
	}
	return commit, nil
}

func (f *Forge) commit(ctx context.Context, r app.Repository, c app.Commit) (string, error) {
	head, err := f.Head(ctx, r)
	if err != nil {
		return "", err
	}
	if head != "" {
		if commit, err := f.committed(ctx, r, c.Operation); err != nil || commit != "" {
			return commit, err
		}
	}
	if head != c.Parent {
		return "", moved(r, head, c.Parent)
	}
	if err := f.inTheWay(ctx, r, c); err != nil {
		return "", err
	}
	aside, err := f.aside(r.ID, "commit")
	if err != nil {
		return "", err
	}
	if err := f.root.Mkdir(aside, 0o700); err != nil {
		return "", err
	}
	made, err := f.object(ctx, r, c, aside)
	if err = errors.Join(err, f.root.RemoveAll(aside)); err != nil {
		return "", err
	}
	if _, err := f.git(ctx, call{repository: r.Name}, "update-ref", refOf(r), made, c.Parent); err != nil {
		if head, again := f.Head(ctx, r); again == nil && head != c.Parent {
			return "", moved(r, head, c.Parent)
		}
		return "", err
	}
	return made, nil
}

func refOf(r app.Repository) string { return "refs/heads/" + r.Branch }

func moved(r app.Repository, head, parent string) error {
	return &app.StepError{Failure: contract.NewFailure(contract.ClassInfrastructure, "the branch %s of %s is at %q, and the files were made for %q", r.Branch, r.Name, head, parent)}
}

// Committed implements app.Repositories.
func (f *Forge) Committed(ctx context.Context, r app.Repository, operation string) (string, error) {
	head, err := f.Head(ctx, r)
	if err != nil || head == "" {
		return "", err
	}
	return f.committed(ctx, r, operation)
}

// committed is the commit of an operation among the newest of a branch that has some, or "".
func (f *Forge) committed(ctx context.Context, r app.Repository, operation string) (string, error) {
	out, err := f.git(ctx, call{repository: r.Name}, "rev-list", "--max-count="+strconv.Itoa(recent),
		"--format=tformat:%H%x20%(trailers:key="+trailer+",valueonly,unfold,separator=%x20)", refOf(r), "--")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		// Before each there is one with the word commit, and the commit.
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] != "commit" && slices.Contains(fields[1:], operation) {
			return fields[0], nil
		}
	}
	return "", nil
}

// inTheWay says where a directory of the branch has the name of a file, or the other way
// round: git would drop the one for the other.
func (f *Forge) inTheWay(ctx context.Context, r app.Repository, c app.Commit) error {
	if c.Parent == "" {
		return nil
	}
	above := map[string]bool{}
	for name := range c.Files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			above[dir] = true
		}
	}
	args := []string{"ls-tree", "-t", "-z", "--full-tree", c.Parent, "--"}
	args = slices.AppendSeq(slices.AppendSeq(args, maps.Keys(above)), maps.Keys(c.Files))
	if len(c.Files) == 0 {
		return nil
	}
	out, err := f.git(ctx, call{repository: r.Name}, args...)
	if err != nil {
		return err
	}
	for entry := range strings.SplitSeq(out, "\x00") {
		what, name, _ := strings.Cut(entry, "\t")
		_, file := c.Files[name]
		if what := strings.Fields(what); len(what) == 3 && (above[name] && what[1] != "tree" || file && what[1] != "blob") {
			return userError("%s has a %s %s, where a file is to be: move it away there", r.Name, what[1], name)
		}
	}
	return nil
}

// object makes the commit, which nothing in the repository leads to yet.
func (f *Forge) object(ctx context.Context, r app.Repository, c app.Commit, aside string) (string, error) {
	names := slices.Sorted(maps.Keys(c.Files))
	var paths strings.Builder
	for i, name := range names {
		file := path.Join(aside, strconv.Itoa(i))
		if err := f.write(file, c.Files[name].Data); err != nil {
			return "", err
		}
		paths.WriteString(f.path(file) + "\n")
	}
	index := call{repository: r.Name, env: []string{"GIT_INDEX_FILE=" + f.path(path.Join(aside, "index"))}}
	tree := c.Parent
	if tree == "" {
		tree = "--empty"
	}
	if _, err := f.git(ctx, index, "read-tree", tree); err != nil {
		return "", err
	}
	hashes, err := f.git(ctx, call{repository: r.Name, stdin: strings.NewReader(paths.String())}, "hash-object", "-w", "--no-filters", "--stdin-paths")
	if err != nil {
		return "", err
	}
	blobs := strings.Fields(hashes)
	if len(blobs) != len(names) {
		return "", fmt.Errorf("git has stored %d files of %d", len(blobs), len(names))
	}
	var entries strings.Builder
	for i, name := range names {
		mode := "100644"
		if c.Files[name].Executable {
			mode = "100755"
		}
		entries.WriteString(mode + " " + blobs[i] + "\t" + name + "\x00")
	}
	with := index
	with.stdin = strings.NewReader(entries.String())
	if _, err := f.git(ctx, with, "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	if tree, err = f.git(ctx, index, "write-tree"); err != nil {
		return "", err
	}
	args := []string{"commit-tree", "-F", "-", strings.TrimSpace(tree)}
	if c.Parent != "" {
		args = append(args, "-p", c.Parent)
	}
	made, err := f.git(ctx, call{
		repository: r.Name, stdin: strings.NewReader(strings.TrimSpace(c.Message) + "\n\n" + trailer + ": " + c.Operation + "\n"),
		env: []string{"GIT_AUTHOR_NAME=rdev", "GIT_AUTHOR_EMAIL=rdev@localhost", "GIT_COMMITTER_NAME=rdev", "GIT_COMMITTER_EMAIL=rdev@localhost"},
	}, args...)
	return strings.TrimSpace(made), err
}
