package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// KeepCachesEvery is how often caches are looked at: a server may forget its users.
const KeepCachesEvery = 30 * time.Second

// KeepCaches has the server of caches let in again the users of projects that it has
// forgotten, as after a restart or where a replica took over, or that are not as they were
// made, and tells how many. It goes by the credentials REDIS_URL, and may be done at any
// time, and twice at once. What fails of one project does not hold up the others, but for a
// server that does not answer.
func (a *App) KeepCaches(ctx context.Context) (restored int, err error) {
	for _, step := range a.Steps {
		if caches, ok := step.(CacheStep); ok && caches.Caches != nil {
			return caches.keepAll(ctx, a.View)
		}
	}
	return 0, nil
}

func (s CacheStep) keepAll(ctx context.Context, view View) (restored int, err error) {
	var failed []error
	err = eachProject(ctx, view, func(project contract.Project) error {
		cache := project.Resource(contract.ResourceCache)
		if cache == nil || project.State != contract.ProjectReady {
			return nil
		}
		did, err := s.keep(ctx, project.Slug, cache.External[contract.ExternalUser])
		if did {
			restored++
		}
		if err == nil {
			return nil
		}
		err = fmt.Errorf("keep the cache of %s: %w", project.Slug, err)
		if errors.Is(err, errNoCaches) || ctx.Err() != nil {
			return err
		}
		failed = append(failed, err)
		return nil
	})
	return restored, errors.Join(append(failed, err)...)
}

// errNoCaches is that the server of caches cannot be asked at all.
var errNoCaches = errors.New("the server of caches cannot be asked")

// keep lets a project's user in again. The credential may change, or go, meanwhile: it is
// read again, for whoever changed it did not see what was done here.
func (s CacheStep) keep(ctx context.Context, slug, user string) (restored bool, err error) {
	for kept := ""; ; {
		password, err := s.password(ctx, slug, user)
		switch {
		case err != nil:
			return restored, err
		case password == "" && restored:
			return false, s.Caches.Drop(ctx, slug) // the cache was removed before it was made again
		case password == kept:
			return restored, nil
		}
		known, err := s.Caches.Known(ctx, slug, password)
		switch {
		case err != nil:
			return restored, fmt.Errorf("%w: %w", errNoCaches, err)
		case known:
			return restored, nil
		}
		if _, err := s.Caches.Create(ctx, slug, password); err != nil {
			return restored, err
		}
		kept, restored = password, true
	}
}

// password is the one in the credential REDIS_URL of a project; "" where it has none, or one
// that somebody set to another cache.
func (s CacheStep) password(ctx context.Context, slug, user string) (string, error) {
	if has, err := s.Secrets.Has(ctx, slug, contract.CacheURL); err != nil || !has {
		return "", err
	}
	values, err := s.Secrets.Values(ctx, slug, contract.CacheURL)
	if known, ok := errors.AsType[*contract.Error](err); ok && known.Code == contract.CodeNotFound {
		return "", nil // it went just now
	}
	if err != nil {
		return "", err
	}
	address, err := url.Parse(values[contract.CacheURL])
	if err != nil || address.User.Username() != user {
		return "", nil //nolint:nilerr // the error would have the password
	}
	password, _ := address.User.Password()
	return password, nil
}
