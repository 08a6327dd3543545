package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// files are what the work finds and leaves, none of a command in a project.
func (a *attempt) files() contract.Files {
	if a.op.Work == nil {
		return contract.Files{}
	}
	return a.op.Work.Files
}

// withoutFiles is why work ends that cannot have its files, or is not to run any more
// once it could.
type withoutFiles struct{ how ending }

// Error implements error.
func (*withoutFiles) Error() string { return "the files of the work could not be put in place" }

// storeError is what was wrong with the store of files, or with what is in it.
type storeError struct{ err error }

// Error implements error.
func (e *storeError) Error() string { return "store of files: " + e.err.Error() }

// Unwrap is for errors.Is.
func (e *storeError) Unwrap() error { return e.err }

// bring puts the files of the work in place before it starts. Its error is a
// *withoutFiles where the work ends with that. An attempt that dies anywhere in it leaves
// nothing that counts: the next one begins with Prepare.
func (w *watch) bring() error {
	files := w.files()
	if len(files.Inputs)+len(files.Caches) == 0 {
		return nil // Start empties the place itself
	}
	ctx, done := w.moving()
	defer done()
	err := w.provide(ctx, files)
	if ctx.Err() == nil {
		return err
	}
	if how, due := w.halted(); due {
		return &withoutFiles{how}
	}
	return context.Cause(ctx)
}

func (w *watch) provide(ctx context.Context, files contract.Files) error {
	if err := w.Runtime.Prepare(ctx, w.ref); err != nil {
		return err
	}
	for _, cache := range files.Caches {
		if err := w.placeCache(ctx, cache); err != nil {
			return err
		}
	}
	for _, input := range files.Inputs {
		if err := w.placeInput(ctx, input); err != nil {
			return err
		}
	}
	return nil
}

// placeCache has a cache be where the last piece of work left it, but for what that kept
// beside its paths. One that is not there, or not as it should be, is none: the work goes
// on without it.
func (w *watch) placeCache(ctx context.Context, cache contract.Cache) error {
	from := &source{files: w.Files, key: contract.CacheKey(w.op.Project, cache.Key)}
	at := domain.Placing{At: ".", Form: domain.FormTarZstd, Only: cache.Paths, Limit: contract.MaxCacheBytes}
	err := w.Runtime.Place(ctx, w.ref, at, from.open)
	_, ofStore := errors.AsType[*storeError](err)
	_, ofFiles := errors.AsType[*domain.FilesError](err)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return nil
	case ctx.Err() == nil && (ofStore || ofFiles):
		w.Log.Warn("work goes on without its cache", "operation", w.op.ID, "cache", cache.Key, "error", err)
		return nil
	}
	return err
}

// placeInput has the artifacts of another operation be in the directory of an input.
func (w *watch) placeInput(ctx context.Context, input contract.Input) error {
	of, err := w.Operations.Load(ctx, input.Operation)
	switch {
	case errors.Is(err, contract.ErrNotFound), err == nil && of.Project != w.op.Project:
		return &withoutFiles{never("input %s: project %s has no operation %s", input.Name, w.op.Project, input.Operation)}
	case err != nil:
		return err
	case of.State != contract.Completed:
		return &withoutFiles{never("input %s: operation %s is %s, not %s", input.Name, of.ID, of.State, contract.Completed)}
	case of.Result == nil:
		return nil
	}
	for _, artifact := range of.Result.Artifacts {
		from := &source{files: w.Files, key: contract.ArtifactKey(w.op.Project, artifact.Digest), digest: artifact.Digest}
		at := domain.Placing{
			At: path.Join(domain.Inputs, input.Name, artifact.Path), Form: domain.FormFile, Exec: artifact.Exec, Limit: contract.MaxArtifactBytes,
		}
		if artifact.Dir {
			at.At, at.Form = strings.TrimSuffix(at.At, ".tar"), domain.FormTar
		}
		err := w.Runtime.Place(ctx, w.ref, at, from.open)
		_, ofStore := errors.AsType[*storeError](err)
		broken, ofFiles := errors.AsType[*domain.FilesError](err)
		switch {
		case ctx.Err() == nil && ofFiles:
			err = broken // without what the runner was told
			fallthrough
		case ctx.Err() == nil && ofStore:
			return &withoutFiles{failedWith(contract.ClassInfrastructure, "input %s: %s: %v", input.Name, artifact.Path, err)}
		case err != nil:
			return err
		}
	}
	return nil
}

// source is a file of the store. What is wrong with it is a *storeError.
type source struct {
	files  Files
	key    string
	digest string // that it has to have, "" for any
}

func (s *source) open(ctx context.Context) (io.ReadCloser, error) {
	body, _, err := s.files.Get(ctx, s.key)
	if err != nil {
		return nil, &storeError{err}
	}
	return &checked{ReadCloser: body, sum: sha256.New(), want: s.digest}, nil
}

// checked is a stream that ends with an error where its digest is not the one wanted.
type checked struct {
	io.ReadCloser

	sum  hash.Hash
	want string
}

// Read implements io.Reader.
func (c *checked) Read(data []byte) (int, error) {
	n, err := c.ReadCloser.Read(data)
	_, _ = c.sum.Write(data[:n]) // it returns no error
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, &storeError{err}
	}
	if got := "sha256:" + hex.EncodeToString(c.sum.Sum(nil)); c.want != "" && got != c.want {
		return n, &storeError{fmt.Errorf("the file has the digest %s, not %s", got, c.want)}
	}
	return n, err
}
