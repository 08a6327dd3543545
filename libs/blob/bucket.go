package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/minio/minio-go/v7"

	"github.com/orchard9/rdev/libs/contract"
)

// partSize is how much of a file goes into one request, in bytes. An upload keeps as
// much in memory.
const partSize = 8 << 20

// bucket keeps files as objects of a bucket on an S3 server, under prefix and key.
type bucket struct {
	core   *minio.Core
	name   string
	prefix string // "", or ends with a slash
}

// Put implements Store.
func (b *bucket) Put(ctx context.Context, key string, r io.Reader) (int64, string, error) {
	if err := checkKey(key); err != nil {
		return 0, "", err
	}
	return b.upload(ctx, r, func(string) string { return key }, false)
}

// PutByDigest implements Store.
func (b *bucket) PutByDigest(ctx context.Context, prefix string, r io.Reader) (int64, string, error) {
	if err := checkKey(prefix); err != nil {
		return 0, "", err
	}
	return b.upload(ctx, r, func(digest string) string { return ByDigest(prefix, digest) }, true)
}

// upload has all of a file on this machine before the server gets any of it: so it
// can be sent again, and a reader that fails has sent nothing. With known it is not
// sent where an object of its size has the key.
func (b *bucket) upload(ctx context.Context, r io.Reader, key func(digest string) string, known bool) (size int64, digest string, err error) {
	file, err := os.CreateTemp("", "rdev-file-")
	if err != nil {
		return 0, "", fmt.Errorf("store a file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	// From here on nothing is left of it, however this process ends.
	if err := os.Remove(file.Name()); err != nil {
		return 0, "", fmt.Errorf("store a file: %w", err)
	}
	size, digest, err = copyAll(ctx, file, r)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, "", fmt.Errorf("store a file: %w", err)
	}
	if known && b.renew(ctx, key(digest), size) {
		return size, digest, nil
	}
	_, err = b.core.Client.PutObject(ctx, b.name, b.prefix+key(digest), file, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize, SendContentMd5: true,
	})
	if err != nil {
		return 0, "", fmt.Errorf("store %s: %w", key(digest), b.explain(err))
	}
	return size, digest, nil
}

// renew has the age of an object begin now, where there is one of that size, and tells
// whether it has. Where it has not, for whatever reason, an upload does the same.
func (b *bucket) renew(ctx context.Context, key string, size int64) bool {
	object := b.prefix + key
	there, err := b.core.StatObject(ctx, b.name, object, minio.StatObjectOptions{})
	if err != nil || there.Size != size {
		return false
	}
	copied, err := b.core.Client.CopyObject(ctx,
		minio.CopyDestOptions{Bucket: b.name, Object: object, ReplaceMetadata: true, ContentType: "application/octet-stream"},
		minio.CopySrcOptions{Bucket: b.name, Object: object})
	// Some servers leave an object that is copied onto itself as it is.
	return err == nil && copied.LastModified.After(there.LastModified)
}

// Get implements Store.
func (b *bucket) Get(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	if err := checkKey(key); err != nil {
		return nil, 0, err
	}
	body, info, _, err := b.core.GetObject(ctx, b.name, b.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, fmt.Errorf("file %s: %w", key, b.explain(err))
	}
	return body, info.Size, nil
}

// explain says what a server's answer means for whoever has configured it.
func (b *bucket) explain(err error) error {
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == minio.NoSuchKey:
		return contract.ErrNotFound
	case answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("RDEV_FILES: there is no bucket %q: %w", b.name, err)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("the S3 server refuses the key in RDEV_FILES_KEY_FILE: %s: %w", answer.Code, err)
	}
	return err
}
