package gitea

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// trailer is the line of a message that has the id of an operation.
const trailer = "Rdev-Operation: "

// Head implements app.Repositories.
func (f *Forge) Head(ctx context.Context, r app.Repository) (string, error) {
	s, err := f.connect(ctx)
	if err != nil {
		return "", err
	}
	there, err := s.known(r)
	if err != nil {
		return "", err
	}
	commits, err := s.newest(there, r.Branch, 1)
	if err != nil || len(commits) == 0 {
		return "", err
	}
	return commits[0].SHA, nil
}

// newest are the newest commits of a branch, at most n of them.
func (s *session) newest(f found, branch string, n int) ([]*sdk.Commit, error) {
	commits, response, err := s.ListRepoCommits(f.Owner.UserName, f.Name, sdk.ListCommitOptions{ListOptions: sdk.ListOptions{Page: 1, PageSize: n}, SHA: branch})
	if code := status(response); code == http.StatusConflict || code == http.StatusNotFound {
		return nil, nil // it is empty, or has no such branch
	}
	if err != nil {
		return nil, failed("read the commits of "+f.FullName, response, err)
	}
	return commits, nil
}

// Read implements app.Repositories.
func (f *Forge) Read(ctx context.Context, r app.Repository, commit, path string) (data []byte, ok bool, err error) {
	if commit == "" {
		return nil, false, nil
	}
	s, err := f.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	there, err := s.known(r)
	if err != nil {
		return nil, false, err
	}
	data, response, err := s.GetFile(there.Owner.UserName, there.Name, commit, path)
	if status(response) == http.StatusNotFound {
		// It is no file only where there is the commit.
		if _, response, err = s.GetSingleCommit(there.Owner.UserName, there.Name, commit); err == nil {
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, false, failed("read "+path+" of "+r.Name+" at "+commit, response, err)
	}
	return data, true, nil
}

// Committed implements app.Repositories.
func (f *Forge) Committed(ctx context.Context, r app.Repository, operation string) (string, error) {
	s, err := f.connect(ctx)
	if err != nil {
		return "", err
	}
	there, err := s.known(r)
	if err != nil {
		return "", err
	}
	commits, err := s.newest(there, r.Branch, pageSize)
	return committed(commits, operation), err
}

// committed is the one of an operation, "" where it is not among them.
func committed(commits []*sdk.Commit, operation string) string {
	for _, commit := range commits {
		if slices.Contains(strings.Split(commit.RepoCommit.Message, "\n"), trailer+operation) {
			return commit.SHA
		}
	}
	return ""
}

// Commit implements app.Repositories. Gitea has no way to say that a file is executable. What
// comes onto the branch between the look at it and the commit stays, below it; that no file
// of the commit is among it is seen to by Gitea.
func (f *Forge) Commit(ctx context.Context, r app.Repository, c app.Commit) (string, error) {
	s, err := f.connect(ctx)
	if err != nil {
		return "", err
	}
	there, err := s.known(r)
	if err != nil {
		return "", err
	}
	commits, err := s.newest(there, r.Branch, pageSize)
	if err != nil {
		return "", err
	}
	if made := committed(commits, c.Operation); made != "" {
		return made, nil
	}
	head := ""
	if len(commits) > 0 {
		head = commits[0].SHA
	}
	if head != c.Parent {
		return "", failure(contract.ClassInfrastructure, "the branch %s of %s is at %q, and no longer at %q", r.Branch, r.Name, head, c.Parent)
	}
	hashes, err := s.hashes(there, c)
	if err != nil {
		return "", err
	}
	made, response, err := s.ChangeFiles(there.Owner.UserName, there.Name, changes(r.Branch, c, hashes))
	switch status(response) {
	case http.StatusConflict, http.StatusUnprocessableEntity:
		return "", failure(contract.ClassInfrastructure, "the files of %s are no longer as at %q, Gitea says: %v", r.Name, c.Parent, err)
	case http.StatusForbidden:
		return "", failure(contract.ClassUser, "the branch %s of %s takes no commit of the user of rdev's token, Gitea says: %v: let it push there", r.Branch, r.Name, err)
	}
	if err != nil {
		return "", failed("commit to "+r.Name, response, err)
	}
	if made.Commit == nil || made.Commit.SHA == "" {
		return "", fmt.Errorf("commit to %s: Gitea does not tell what it made", r.Name)
	}
	return made.Commit.SHA, nil
}

// changes are the files of a commit as Gitea takes them. It refuses them where one that is
// new is there, or one that changes has another hash.
func changes(branch string, c app.Commit, hashes map[string]string) sdk.ChangeFilesOptions {
	options := sdk.ChangeFilesOptions{Branch: branch, Message: strings.TrimSpace(c.Message) + "\n\n" + trailer + c.Operation + "\n"}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		change := &sdk.ChangeFileOperation{Operation: "create", Path: path, Content: base64.StdEncoding.EncodeToString(c.Files[path].Data)}
		if hash, ok := hashes[path]; ok {
			change.Operation, change.SHA = "update", hash
		}
		options.Files = append(options.Files, change)
	}
	return options
}
