// Package archive writes the smallest container image: one static program.
package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
)

// Write writes a docker-archive of an image of that name (repository:tag) to
// path, with the program at /<entrypoint> and a /tmp that everybody may write.
func Write(path, name, program, entrypoint string) (err error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read the program of image %s: %w", name, err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	directory := &tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}
	if err := w.WriteHeader(directory); err != nil {
		return err
	}
	if err := add(w, entrypoint, 0o755, content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + entrypoint}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	var image bytes.Buffer
	if err := writeAll(&image, map[string][]byte{
		"manifest.json": manifest, "config.json": config, "layer.tar": layer.Bytes(),
	}); err != nil {
		return err
	}
	return os.WriteFile(path, image.Bytes(), 0o644)
}

func writeAll(to io.Writer, files map[string][]byte) error {
	w := tar.NewWriter(to)
	for name, content := range files {
		if err := add(w, name, 0o644, content); err != nil {
			return err
		}
	}
	return w.Close()
}

func add(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
