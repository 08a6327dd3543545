package gitea

import (
	"path"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// reader reads the directories of a commit, each once.
type reader struct {
	*session

	repository  found
	commit      string // "" where there is none
	directories map[string]map[string]sdk.GitEntry
}

// hashes are those of the files of a commit that are there at its parent.
func (s *session) hashes(f found, c app.Commit) (map[string]string, error) {
	r := reader{s, f, c.Parent, map[string]map[string]sdk.GitEntry{}}
	hashes := map[string]string{}
	for file := range c.Files {
		entry, err := r.entry(file)
		if err != nil {
			return nil, err
		}
		if entry.Type == "blob" {
			hashes[file] = entry.SHA
		}
	}
	return hashes, nil
}

// entry is what is at a path: its zero value where there is nothing.
func (r reader) entry(at string) (sdk.GitEntry, error) {
	if at == "." && r.commit == "" {
		return sdk.GitEntry{}, nil
	}
	if at == "." {
		return sdk.GitEntry{Type: "tree", SHA: r.commit}, nil
	}
	parent := path.Dir(at)
	if _, known := r.directories[parent]; !known {
		directory, err := r.entry(parent)
		if err != nil {
			return sdk.GitEntry{}, err
		}
		if r.directories[parent], err = r.directory(directory); err != nil {
			return sdk.GitEntry{}, err
		}
	}
	return r.directories[parent][path.Base(at)], nil
}

// directory is what is in one, by its name: nothing where it is none.
func (r reader) directory(at sdk.GitEntry) (map[string]sdk.GitEntry, error) {
	entries := map[string]sdk.GitEntry{}
	for page, more := 1, at.Type == "tree"; more; page++ {
		tree, response, err := r.GetTrees(r.repository.Owner.UserName, r.repository.Name, sdk.ListTreeOptions{Ref: at.SHA, ListOptions: sdk.ListOptions{Page: page}})
		if err != nil {
			return nil, failed("list the files of "+r.repository.FullName, response, err)
		}
		for _, entry := range tree.Entries {
			entries[entry.Path] = entry
		}
		more = tree.Truncated && len(tree.Entries) > 0
	}
	return entries, nil
}
