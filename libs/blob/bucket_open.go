package blob

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// patience is how long an S3 server may be silent, in the middle of a file, too.
	patience = time.Minute
	// tries is how often a request is made that fails for a reason that may pass,
	// with a second between the last of them.
	tries = 6
	// keyAge is how long a key is used before its file is read again.
	keyAge = time.Minute
)

// openBucket is the bucket at an address such as Settings.URL.
func openBucket(at *url.URL, keyFile string, patience time.Duration) (*bucket, error) {
	endpoint, options := "s3.amazonaws.com", minio.Options{Secure: true, MaxRetries: tries, Transport: transport(patience)}
	for name, values := range at.Query() {
		value, err := values[len(values)-1], error(nil)
		switch name {
		case "endpoint":
			endpoint = value
		case "region":
			options.Region = value
		case "tls":
			options.Secure, err = strconv.ParseBool(value)
		case "path_style":
			var always bool
			if always, err = strconv.ParseBool(value); always {
				options.BucketLookup = minio.BucketLookupPath
			}
		default:
			return nil, fmt.Errorf("%s is none of endpoint, region, tls, path_style", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither true nor false", name, value)
		}
	}
	options.Creds = credentials.New(&credentials.IAM{Region: options.Region})
	if keyFile != "" {
		key := &keyReader{file: keyFile}
		if _, err := key.read(); err != nil {
			return nil, err
		}
		options.Creds = credentials.New(key)
	}
	core, err := minio.NewCore(endpoint, &options)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	prefix := strings.Trim(at.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &bucket{core: core, name: at.Host, prefix: prefix}, nil
}

// keyReader reads a key from a file, again and again, as it may be replaced.
type keyReader struct {
	credentials.Expiry
	file string
}

// RetrieveWithCredContext implements credentials.Provider.
func (k *keyReader) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	value, err := k.read()
	if err == nil {
		k.SetExpiration(time.Now().Add(keyAge), 0)
	}
	return value, err
}

// Retrieve implements credentials.Provider.
func (k *keyReader) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

func (k *keyReader) read() (credentials.Value, error) {
	text, err := os.ReadFile(k.file)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("RDEV_FILES_KEY_FILE: %w", err)
	}
	lines := append(strings.Fields(string(text)), "") // without a token
	if len(lines) != 3 && len(lines) != 4 {
		return credentials.Value{}, errors.New("RDEV_FILES_KEY_FILE: it has to have two lines, an access key id and a secret key, or three, with a session token")
	}
	return credentials.Value{AccessKeyID: lines[0], SecretAccessKey: lines[1], SessionToken: lines[2], SignerType: credentials.SignatureV4}, nil
}
