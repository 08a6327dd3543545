package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/cache"
)

// config is an image's configuration as OCI and Docker write it.
type config struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Created      string    `json:"created"`
	Config       process   `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
	History      []history `json:"history"`
}

// process is how a container of the image is started.
type process struct {
	User       string            `json:"User,omitempty"`
	Env        []string          `json:"Env,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	WorkingDir string            `json:"WorkingDir,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// manifest is an entry of the manifest.json of a docker-archive.
type manifest struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// epoch is when everything was made, so that it is the same every time.
const epoch = "1970-01-01T00:00:00Z"

// archive is the image of that name with these layers, the lowest first. It is
// written where the store does not have it yet.
func (s store) archive(ctx context.Context, name string, run process, layers []layer) (Image, error) {
	c := config{
		Architecture: runtime.GOARCH, OS: "linux", Created: epoch, Config: run,
		RootFS: rootFS{Type: "layers"},
	}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.diffID)
		c.History = append(c.History, history{Created: epoch, CreatedBy: l.about})
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		return Image{}, fmt.Errorf("encode the configuration of %s: %w", name, err)
	}
	id := hash(string(encoded))
	dir := filepath.Join(s.dir, "archives", hash(name + id)[:32])
	image := Image{Name: name, Archive: filepath.Join(dir, "image.tar"), ID: "sha256:" + id}
	err = cache.Fill(ctx, dir, func(partial string) error {
		return writeArchive(filepath.Join(partial, "image.tar"), name, id, encoded, layers)
	})
	if err != nil {
		return Image{}, fmt.Errorf("write the image %s: %w", name, err)
	}
	return image, s.sweep()
}

// writeArchive writes a docker-archive. The layers come first: they are copied
// from file to file by the kernel.
func writeArchive(path, name, id string, config []byte, layers []layer) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	w := tar.NewWriter(file)
	m := manifest{Config: id + ".json", RepoTags: []string{name}}
	written := map[string]bool{}
	for _, l := range layers {
		entry := strings.TrimPrefix(l.diffID, "sha256:") + ".tar"
		m.Layers = append(m.Layers, entry)
		if !written[entry] {
			if err := addFile(w, entry, l.path); err != nil {
				return fmt.Errorf("add the layer with %s: %w", l.about, err)
			}
		}
		written[entry] = true
	}
	manifests, err := json.Marshal([]manifest{m})
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		content []byte
	}{{m.Config, config}, {"manifest.json", manifests}} {
		if err := w.WriteHeader(entryHeader(part.name, int64(len(part.content)))); err != nil {
			return err
		}
		if _, err := w.Write(part.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return file.Close()
}

func addFile(w *tar.Writer, name, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(entryHeader(name, info.Size())); err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return err
}

func entryHeader(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}
