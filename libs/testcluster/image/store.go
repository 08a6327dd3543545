package image

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/cache"
)

// store is the directory of the cache in which layers and archives are kept.
type store struct{ dir string }

// layer is a tar on disk that is one layer of images.
type layer struct {
	path   string
	diffID string // sha256:… of the tar
	about  string // what made it, for the history of an image
}

// How long is kept what nobody asks for. An archive is put together again in
// less than a second, a layer of Debian packages in a minute.
const (
	unusedArchive = time.Hour
	unusedLayer   = 14 * 24 * time.Hour
)

// layer is the layer of a key, which has to name all that it is made of. fill
// says what is in it, and is called only where the store lacks it.
func (s store) layer(ctx context.Context, about, key string, fill func(context.Context, *tree) error) (layer, error) {
	dir := filepath.Join(s.dir, "layers", hash(key)[:32])
	l := layer{path: filepath.Join(dir, "layer.tar"), about: about}
	err := cache.Fill(ctx, dir, func(partial string) error {
		t, err := newTree(s.dir)
		if err != nil {
			return err
		}
		if err := fill(ctx, t); err != nil {
			return errors.Join(err, t.close())
		}
		return errors.Join(writeLayer(t, partial), t.close())
	})
	if err != nil {
		return layer{}, fmt.Errorf("make the layer with %s: %w", about, err)
	}
	id, err := os.ReadFile(filepath.Join(dir, "diffid"))
	if err != nil {
		return layer{}, fmt.Errorf("read a layer: %w", err)
	}
	l.diffID = strings.TrimSpace(string(id))
	return l, nil
}

// writeLayer writes the tar of a layer and its digest into dir.
func writeLayer(t *tree, dir string) error {
	digest := sha256.New()
	err := writeFile(filepath.Join(dir, "layer.tar"), func(w io.Writer) error {
		return t.write(io.MultiWriter(w, digest))
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "diffid"), []byte("sha256:"+hex.EncodeToString(digest.Sum(nil))+"\n"), 0o644)
}

// sweep removes what nobody has asked for in a while.
func (s store) sweep() error {
	for kind, unused := range map[string]time.Duration{"archives": unusedArchive, "layers": unusedLayer} {
		locks, err := filepath.Glob(filepath.Join(s.dir, kind, "*.lock"))
		if err != nil {
			return err
		}
		for _, lock := range locks {
			if err := sweepOne(lock, unused); err != nil {
				return fmt.Errorf("tidy up the %s: %w", kind, err)
			}
		}
	}
	return nil
}

// sweepOne removes what a lock is for, where it is old and nobody holds the
// lock. The file of the lock stays, for somebody may be about to take it.
func sweepOne(lock string, unused time.Duration) error {
	held, err := cache.TryLock(lock)
	if errors.Is(err, cache.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	dir := strings.TrimSuffix(lock, ".lock")
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if time.Since(info.ModTime()) < unused {
		return nil
	}
	return os.RemoveAll(dir)
}

// writeFile makes a file with what fill writes.
func writeFile(path string, fill func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = fill(buffered)
	return errors.Join(err, buffered.Flush(), file.Close())
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
