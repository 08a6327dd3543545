// Package blob is the store of files: what builds leave and find, in a directory of
// this machine or in a bucket of S3.
package blob

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// Store keeps files under keys: words of [a-z0-9._-] with slashes between them, of
// which none begins with a dot. A prefix is a key without its last words, and what is
// under it are the keys that go on with a slash. All may be called at the same time,
// by any number of processes.
type Store interface {
	// Put stores all that r has under a key, in place of what was there, and tells its
	// size in bytes and its digest, "sha256:" and 64 hexadecimal digits. A reader of the
	// key sees what was there before or all of the new, never a part. An error leaves
	// what was there; where only the answer of an S3 server was lost it may be the new.
	Put(ctx context.Context, key string, r io.Reader) (size int64, digest string, err error)
	// PutByDigest is Put under the key ByDigest of a prefix. What is there already is
	// the same, and counts as written just now.
	PutByDigest(ctx context.Context, prefix string, r io.Reader) (size int64, digest string, err error)
	// Get opens the file under a key, from its beginning, and tells its size in bytes;
	// contract.ErrNotFound. The body can be read as long as ctx lasts. One that ends
	// before its size ends with an error.
	Get(ctx context.Context, key string) (body io.ReadCloser, size int64, err error)
	// Sweep deletes what is under a prefix and was last written before a time, and what
	// writers left behind that were killed a day ago or more. It tells how many files
	// were deleted, also with an error. A file that is written meanwhile stays: in a
	// directory always, in a bucket unless it is written in the moment between the last
	// look at it and its deletion.
	Sweep(ctx context.Context, prefix string, before time.Time) (removed int, err error)
	// DeleteAll deletes all that is under a prefix; nothing is no error.
	DeleteAll(ctx context.Context, prefix string) error
}

// abandoned is how old an upload is whose writer was killed: none takes so long.
const abandoned = 24 * time.Hour

// keyPattern is that of keys. Names that begin with a dot are the store's own.
var keyPattern = regexp.MustCompile(`^[a-z0-9_-][a-z0-9._-]{0,199}(/[a-z0-9_-][a-z0-9._-]{0,199})*$`)

// checkKey refuses what is no key.
func checkKey(key string) error {
	if len(key) > 700 || !keyPattern.MatchString(key) {
		return fmt.Errorf("%.100q is not a key of the store of files", key)
	}
	return nil
}

// ByDigest is the key of the file with a digest, "sha256:…", that PutByDigest stored.
func ByDigest(prefix, digest string) string {
	return prefix + "/" + strings.TrimPrefix(digest, "sha256:")
}
