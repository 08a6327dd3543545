package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// choose picks the binaries for the cluster in data. A cluster can only be
// served by the major version that created it, so that one wins over newer ones.
func choose(ctx context.Context, o Options, data string) (Installation, error) {
	written, err := clusterMajor(data)
	if err != nil {
		return Installation{}, err
	}
	fits := func(i Installation) bool { return written == 0 || i.Major == written }
	// The cache is looked at only if the machine has nothing that fits.
	for _, look := range []func() []Installation{
		func() []Installation { return onMachine(ctx) },
		func() []Installation { return downloaded(ctx, o.Cache) },
	} {
		found := look()
		if at := slices.IndexFunc(found, fits); at >= 0 {
			return found[at], nil
		}
	}
	if written != 0 && written != downloadMajor {
		return Installation{}, fmt.Errorf("the data in %s was written by PostgreSQL %d, which is not on this machine; install it, or move the directory away to start anew", data, written)
	}
	installation, err := download(ctx, o)
	if err != nil {
		return Installation{}, fmt.Errorf("no PostgreSQL server on this machine (on Debian or Ubuntu: apt install postgresql; macOS: brew install postgresql) and it could not be downloaded: %w", err)
	}
	return installation, nil
}

// clusterMajor is the version that wrote the cluster, 0 if there is none.
func clusterMajor(data string) (int, error) {
	content, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", filepath.Join(data, "PG_VERSION"), err)
	}
	return major, nil
}
