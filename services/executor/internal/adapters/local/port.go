package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// portOf is the variable that tells a program the port that its project has on this
// machine, which the provisioner has noted in the file port beside the workspace. None where
// there is no note, as for work, and for a project of a time without ports.
func portOf(ref domain.RunRef) ([]string, error) {
	if ref.Fresh {
		return nil, nil
	}
	note := filepath.Join(filepath.Dir(ref.Workspace), "port")
	text, err := os.ReadFile(note)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("port of project %s: %w", ref.Project, err)
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil || port == 0 {
		return nil, &domain.RefusedError{Reason: fmt.Sprintf("what %s says is no port: remove the file, and make a route of the project again", note)}
	}
	return []string{"PORT=" + strconv.FormatUint(port, 10)}, nil
}
