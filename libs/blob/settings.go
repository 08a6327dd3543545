package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Settings are where the store of files is: what the Config of a service that uses it
// holds of it, as Files.
type Settings struct {
	// URL is a directory, file:///path, or a bucket of an S3 server,
	// s3://bucket/prefix?endpoint=host:port&region=…&tls=false&path_style=true, of which
	// all but the bucket may be left out: then it is Amazon's, with TLS. There is no
	// store where it is empty.
	URL string `env:"RDEV_FILES"`
	// KeyFile has the access key id, the secret key and, if it needs one, the session
	// token for the bucket, each on a line. It is read again every minute. Where it is
	// empty the machine or the pod has a role of Amazon's that may.
	KeyFile string `env:"RDEV_FILES_KEY_FILE"`
}

// Open returns the store. Where the settings name none, that is one which has nothing
// and takes nothing: Put and Get answer with a contract.Error. A bucket is not asked
// for before it is used.
func Open(s Settings) (Store, error) {
	if s.URL == "" {
		return none{}, nil
	}
	store, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("RDEV_FILES: %w", err)
	}
	return store, nil
}

func (s Settings) open() (Store, error) {
	at, err := url.Parse(s.URL)
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		return nil, wrong.Err // the rest of it is the URL, which may have a password
	}
	if err != nil {
		return nil, err
	}
	switch {
	case at.User != nil || at.Fragment != "":
		return nil, errors.New("it has a user or a fragment; keys are in RDEV_FILES_KEY_FILE")
	case at.Scheme == "file" && at.Host == "" && filepath.IsAbs(at.Path) && at.RawQuery == "":
		return openDirectory(at.Path)
	case at.Scheme == "s3" && at.Host != "":
		return openBucket(at, s.KeyFile, patience)
	}
	return nil, fmt.Errorf("%q is neither file:///directory nor s3://bucket", at.Redacted())
}

// none is where no store is configured.
type none struct{}

func (none) refuse() error {
	return &contract.Error{Code: contract.CodeUnavailable, Detail: "no store of files is configured: set RDEV_FILES"}
}

func (n none) Put(context.Context, string, io.Reader) (int64, string, error) {
	return 0, "", n.refuse()
}

func (n none) PutByDigest(context.Context, string, io.Reader) (int64, string, error) {
	return 0, "", n.refuse()
}

func (n none) Get(context.Context, string) (io.ReadCloser, int64, error) { return nil, 0, n.refuse() }

func (none) Sweep(context.Context, string, time.Time) (int, error) { return 0, nil }

func (none) DeleteAll(context.Context, string) error { return nil }
