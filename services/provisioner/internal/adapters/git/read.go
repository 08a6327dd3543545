package git

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// maxFile is of a file that is read, in bytes.
const maxFile = 16 << 20

var commitPattern = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Head implements app.Repositories.
func (f *Forge) Head(ctx context.Context, r app.Repository) (string, error) {
	if err := f.has(ctx, r); err != nil {
		return "", err
	}
	out, err := f.git(ctx, call{repository: r.Name}, "rev-parse", "--verify", "--quiet", "--end-of-options", refOf(r)+"^{commit}")
	if exited(err) == 1 && out == "" {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the branch %s of the repository %s: %w", r.Branch, r.Name, err)
	}
	return strings.TrimSpace(out), nil
}

// has is an error where a project has not that repository.
func (f *Forge) has(ctx context.Context, r app.Repository) error {
	name, err := f.where(ctx, r.ID)
	if err == nil && (name == "" || name != r.Name) {
		err = fmt.Errorf("the project %s has not the repository %s, but %q", r.ID, r.Name, name)
	}
	return err
}

// Read implements app.Repositories. Of a symbolic link it is what that leads to, in words.
func (f *Forge) Read(ctx context.Context, r app.Repository, commit, path string) (data []byte, ok bool, err error) {
	if err := f.has(ctx, r); err != nil {
		return nil, false, err
	}
	if !commitPattern.MatchString(commit) || !validPath(path) {
		return nil, false, fmt.Errorf("read %q of the repository %s at %q: that cannot be there", path, r.Name, commit)
	}
	text, ok, err := f.read(ctx, r.Name, commit, path)
	if _, known := errors.AsType[*app.StepError](err); err != nil && !known {
		err = fmt.Errorf("read %s of the repository %s at %s: %w", path, r.Name, commit, err)
	}
	return []byte(text), ok, err
}

func (f *Forge) read(ctx context.Context, repository, commit, path string) (text string, ok bool, err error) {
	questions := commit + "^{commit}\n" + commit + ":" + path + "\n"
	out, err := f.git(ctx, call{repository: repository, stdin: strings.NewReader(questions)}, "cat-file", "--batch-check")
	if err != nil {
		return "", false, err
	}
	there, out, _ := strings.Cut(out, "\n")
	if !strings.HasPrefix(there, commit+" commit ") {
		return "", false, errors.New("there is no such commit")
	}
	what := strings.Fields(strings.TrimSuffix(out, "\n"))
	if len(what) != 3 || what[1] != "blob" { // a directory, a submodule, nothing
		return "", false, nil
	}
	if size, err := strconv.ParseInt(what[2], 10, 64); err != nil || size > maxFile {
		return "", false, userError("%s of the repository %s has %s bytes: %d are the most that is read", path, repository, what[2], maxFile)
	}
	text, err = f.git(ctx, call{repository: repository}, "cat-file", "blob", what[0])
	return text, err == nil, err
}
