package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// shelf is a store of files in memory.
type shelf struct {
	mu    sync.Mutex
	files map[string]string
	err   error // of every call
	asked []string
}

func (s *shelf) Put(_ context.Context, key string, r io.Reader) (size int64, digest string, err error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return 0, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, "", s.err
	}
	if s.files == nil {
		s.files = map[string]string{}
	}
	s.files[key] = string(data)
	return int64(len(data)), digestOf(string(data)), nil
}

func (s *shelf) PutByDigest(ctx context.Context, prefix string, r io.Reader) (size int64, digest string, err error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return 0, "", err
	}
	return s.Put(ctx, prefix+"/"+strings.TrimPrefix(digestOf(string(data)), "sha256:"), bytes.NewReader(data))
}

func (s *shelf) Get(_ context.Context, key string) (body io.ReadCloser, size int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, key)
	text, ok := s.files[key]
	if s.err != nil {
		return nil, 0, s.err
	}
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", key, contract.ErrNotFound)
	}
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// yard is the place of a run: what was put there, and what a program leaves.
type yard struct {
	prepared int
	placed   []string // "where form: content"
	leaves   map[string]string
	broken   map[string]error // of a path, or of all with ""
	// moving is called before anything is placed or taken, where it is set.
	moving func(context.Context) error
}

func (y *yard) Prepare(context.Context, domain.RunRef) error {
	y.prepared++
	return nil
}

func (y *yard) Place(ctx context.Context, _ domain.RunRef, at domain.Placing, open func(context.Context) (io.ReadCloser, error)) error {
	if err := y.move(ctx); err != nil {
		return err
	}
	body, err := open(ctx)
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	if err := y.broken[at.At]; err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	what := strings.Join(append([]string{at.At, string(at.Form)}, at.Only...), " ")
	if at.Exec {
		what += " exec"
	}
	y.placed = append(y.placed, what+": "+string(data))
	return nil
}

// Artifacts tells the first file twice, as after a connection that was cut.
func (y *yard) Artifacts(ctx context.Context, _ domain.RunRef, patterns []string, take func(domain.Kept, io.Reader) error) error {
	if err := y.move(ctx); err != nil {
		return err
	}
	names := slices.Sorted(slices.Values(patterns))
	for _, name := range append(names[:1:1], names...) {
		if err := y.broken[name]; err != nil {
			return fmt.Errorf("runner: %w", err)
		}
		text := y.leaves[name]
		file := domain.Kept{Path: name, Size: int64(len(text)), Dir: strings.HasSuffix(name, ".tar"), Exec: strings.HasPrefix(name, "bin/")}
		if err := take(file, strings.NewReader(text)); err != nil {
			return fmt.Errorf("runner: %w", err)
		}
	}
	return nil
}

func (y *yard) Cache(ctx context.Context, _ domain.RunRef, paths []string, take func(io.Reader) error) error {
	if err := y.move(ctx); err != nil {
		return err
	}
	if err := y.broken["cache"]; err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	return take(strings.NewReader(strings.Join(paths, " ") + " packed"))
}

func (y *yard) move(ctx context.Context) error {
	if y.moving == nil {
		return nil
	}
	return y.moving(ctx)
}
