package blob

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/orchard9/rdev/libs/contract"
)

// Sweep implements Store. S3 has no deletion under the condition that an object is as
// old as it was; a lifecycle rule of the bucket has no such gap.
func (b *bucket) Sweep(ctx context.Context, prefix string, before time.Time) (removed int, err error) {
	if err := checkKey(prefix); err != nil {
		return 0, err
	}
	for object := range b.objects(ctx, prefix) {
		if object.Err != nil {
			return removed, fmt.Errorf("sweep %s: %w", prefix, b.explain(object.Err))
		}
		if !object.LastModified.Before(before) {
			continue
		}
		gone, err := b.removeOlder(ctx, object.Key, before)
		if err != nil {
			return removed, fmt.Errorf("sweep %s: %w", prefix, err)
		}
		if gone {
			removed++
		}
	}
	return removed, b.abort(ctx, prefix, time.Now().Add(-abandoned))
}

// objects are those under a prefix. The last of them may be an error.
func (b *bucket) objects(ctx context.Context, prefix string) func(func(minio.ObjectInfo) bool) {
	return func(yield func(minio.ObjectInfo) bool) {
		for object := range b.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix + "/", Recursive: true}) {
			if !yield(object) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(minio.ObjectInfo{Err: err})
		}
	}
}

// removeOlder looks once more, as the list is of a while ago.
func (b *bucket) removeOlder(ctx context.Context, object string, before time.Time) (bool, error) {
	now, err := b.core.StatObject(ctx, b.name, object, minio.StatObjectOptions{})
	if err := b.explain(err); err != nil {
		if errors.Is(err, contract.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	if !now.LastModified.Before(before) {
		return false, nil
	}
	err = b.core.RemoveObject(ctx, b.name, object, minio.RemoveObjectOptions{})
	return err == nil, b.explain(err)
}

// DeleteAll implements Store.
func (b *bucket) DeleteAll(ctx context.Context, prefix string) error {
	if err := checkKey(prefix); err != nil {
		return err
	}
	var listed error
	results, err := b.core.RemoveObjectsWithIter(ctx, b.name, func(yield func(minio.ObjectInfo) bool) {
		for object := range b.objects(ctx, prefix) {
			if listed = object.Err; listed != nil || !yield(object) {
				return
			}
		}
	}, minio.RemoveObjectsOptions{})
	if err != nil {
		return fmt.Errorf("delete %s: %w", prefix, b.explain(err))
	}
	var failed error
	for result := range results {
		if result.Err != nil { // as that of many others
			failed = b.explain(result.Err)
		}
	}
	if err := errors.Join(ctx.Err(), b.explain(listed), failed); err != nil {
		return fmt.Errorf("delete %s: %w", prefix, err)
	}
	return b.abort(ctx, prefix, time.Now())
}

// abort gives back the room of uploads under a prefix that began before a time, and
// nobody will complete.
func (b *bucket) abort(ctx context.Context, prefix string, before time.Time) error {
	key, upload := "", ""
	for {
		page, err := b.core.ListMultipartUploads(ctx, b.name, b.prefix+prefix+"/", key, upload, "", 1000)
		if err != nil {
			return fmt.Errorf("list unfinished uploads of %s: %w", prefix, b.explain(err))
		}
		for _, u := range page.Uploads {
			if !u.Initiated.Before(before) {
				continue
			}
			err := b.core.AbortMultipartUpload(ctx, b.name, u.Key, u.UploadID)
			if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
				return fmt.Errorf("abort an unfinished upload of %s: %w", u.Key, b.explain(err))
			}
		}
		if !page.IsTruncated {
			return nil
		}
		key, upload = page.NextKeyMarker, page.NextUploadIDMarker
	}
}
