package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// incoming begins the names of directories for files on their way.
const incoming = "incoming-"

// Prepared is the run for which the workspace was emptied. It says nothing once another
// token holds the workspace.
type Prepared struct {
	ID    string `json:"id"`
	Token uint64 `json:"token"`
}

// Prepared reads it; the zero Prepared where there is none.
func (r *Root) Prepared() (Prepared, error) {
	var prepared Prepared
	text, err := os.ReadFile(filepath.Join(r.dir, "prepared"))
	if errors.Is(err, fs.ErrNotExist) {
		return prepared, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &prepared)
	}
	if err != nil {
		return Prepared{}, fmt.Errorf("read what is prepared: %w", err)
	}
	return prepared, nil
}

// SetPrepared records it. It is on the disk when SetPrepared returns.
func (r *Root) SetPrepared(prepared Prepared) error {
	text, err := json.Marshal(prepared)
	if err != nil {
		return fmt.Errorf("write what is prepared: %w", err)
	}
	dir, err := os.OpenRoot(r.dir)
	if err != nil {
		return fmt.Errorf("write what is prepared: %w", err)
	}
	defer dir.Close()
	if err := replace(dir, "prepared", text); err != nil {
		return fmt.Errorf("write what is prepared: %w", err)
	}
	return nil
}

// ForgetPrepared has nothing prepared, and removes what was on its way.
func (r *Root) ForgetPrepared() error {
	err := os.Remove(filepath.Join(r.dir, "prepared"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	entries, listErr := os.ReadDir(r.dir)
	err = errors.Join(err, listErr)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), incoming) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(r.dir, entry.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("forget what is prepared: %w", err)
	}
	return nil
}

// Incoming makes a directory for files of a run on their way to their places, on the same
// file system. done removes it.
func (r *Root) Incoming(id string) (dir *os.Root, done func(), err error) {
	path, err := os.MkdirTemp(r.dir, incoming+id+"-")
	if err == nil {
		dir, err = os.OpenRoot(path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make room for files: %w", err)
	}
	return dir, func() { _, _ = dir.Close(), os.RemoveAll(path) }, nil // else whoever prepares next does
}
