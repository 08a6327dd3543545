package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// copyAll copies all that r has, or until ctx ends, and tells the size in bytes and
// the digest of it.
func copyAll(ctx context.Context, into io.Writer, r io.Reader) (size int64, digest string, err error) {
	sum := sha256.New()
	size, err = io.Copy(io.MultiWriter(into, sum), reader{ctx, r})
	return size, "sha256:" + hex.EncodeToString(sum.Sum(nil)), err
}

// reader reads until its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
