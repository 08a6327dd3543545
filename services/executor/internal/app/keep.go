package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// keep puts into the store what is to be kept of work that went well. It goes by what the
// run left, and the same comes to the same: an attempt that joins the run does it again.
func (w *watch) keep(how ending) (ending, error) {
	files := w.files()
	if len(files.Artifacts)+len(files.Caches) == 0 {
		return how, nil
	}
	ctx, done := w.moving()
	defer done()
	artifacts, err := w.keepArtifacts(ctx, files.Artifacts)
	for _, cache := range files.Caches {
		if err == nil && ctx.Err() == nil {
			w.keepCache(ctx, cache)
		}
	}
	if ctx.Err() != nil {
		if halted, due := w.halted(); due {
			halted.result = how.result
			return halted, nil
		}
		return ending{}, context.Cause(ctx)
	}
	broken, ofFiles := errors.AsType[*domain.FilesError](err)
	_, ofStore := errors.AsType[*storeError](err)
	switch {
	case ofFiles:
		how.state, how.failure = contract.Failed, contract.NewFailure(contract.ClassUser, "%s", broken.Reason)
	case ofStore:
		how.state, how.failure = contract.Failed, contract.NewFailure(contract.ClassInfrastructure, "the artifacts could not be kept: %v", err)
	case err != nil:
		return ending{}, err
	case len(artifacts) > 0:
		result := contract.Result{}
		if how.result != nil {
			result = *how.result
		}
		result.Artifacts = artifacts
		how.result = &result
	}
	return how, nil
}

// keepArtifacts stores what the patterns match. The runner is next to the program, so its
// word is not taken for what may be kept.
func (w *watch) keepArtifacts(ctx context.Context, patterns []string) ([]contract.Artifact, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	kept := map[string]contract.Artifact{} // a file comes again where the connection was cut
	err := w.Runtime.Artifacts(ctx, w.ref, patterns, func(file domain.Kept, body io.Reader) error {
		number, size := 1, file.Size
		for name, other := range kept {
			if name != file.Path {
				number, size = number+1, size+other.Size
			}
		}
		switch {
		case !fs.ValidPath(file.Path) || number > contract.MaxArtifacts || size > contract.MaxArtifactBytes:
			return &domain.FilesError{Reason: fmt.Sprintf("artifact %q cannot be kept", file.Path)}
		case w.secrets.Text(file.Path) != file.Path:
			return &domain.FilesError{Reason: fmt.Sprintf("artifact %q has a credential in its name", file.Path)}
		}
		size, digest, err := w.Files.PutByDigest(ctx, contract.ArtifactsPrefix(w.op.Project), body)
		if err == nil && size != file.Size {
			err = fmt.Errorf("%d bytes of %d were stored", size, file.Size)
		}
		if err != nil {
			return &storeError{err}
		}
		kept[file.Path] = contract.Artifact{Path: file.Path, Size: size, Digest: digest, Dir: file.Dir, Exec: file.Exec}
		return nil
	})
	if err != nil {
		return nil, err
	}
	artifacts := make([]contract.Artifact, 0, len(kept))
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		artifacts = append(artifacts, kept[name])
	}
	return artifacts, nil
}

// keepCache stores the directories of a cache. Where that fails the next piece of work
// finds those of an earlier one, or none.
func (w *watch) keepCache(ctx context.Context, cache contract.Cache) {
	err := w.Runtime.Cache(ctx, w.ref, cache.Paths, func(body io.Reader) error {
		_, _, err := w.Files.Put(ctx, contract.CacheKey(w.op.Project, cache.Key), &bounded{in: body, left: contract.MaxCacheBytes})
		return err
	})
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("cache not kept", "operation", w.op.ID, "cache", cache.Key, "error", w.secrets.Text(err.Error()))
	}
}

// bounded is a stream that ends with an error where it is too long.
type bounded struct {
	in   io.Reader
	left int64
}

// Read implements io.Reader.
func (b *bounded) Read(data []byte) (int, error) {
	n, err := b.in.Read(data)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("it is larger than a cache may be")
	}
	return n, err
}
