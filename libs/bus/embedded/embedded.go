// Package embedded runs a NATS server in this process, for `rdev up` and for
// tests. The store is locked: a NATS server itself has no lock, and two on one
// store would both acknowledge the same sequences.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/libs/bus/access"
)

// ErrLocked is returned where another process uses the store.
var ErrLocked = errors.New("another process uses the NATS store")

// startUp is how long the server may take to accept connections.
const startUp = 30 * time.Second

// Options of the server. Only Dir is needed.
type Options struct {
	Name string // unique in a cluster; "rdev" where empty
	Dir  string // of the store; made where it is missing
	Host string // 127.0.0.1 where empty
	Port int    // 0 picks a free one
	// User and Password are asked of clients; nothing where empty. Whoever has them
	// may do everything.
	User, Password string
	// Users are further ones, each with its nkey.
	Users []User
	// Unsynced acknowledges before the disk has it: fast, and a power failure
	// loses the last two minutes. For tests.
	Unsynced bool
	// Cluster is this server's place in a cluster of several.
	Cluster *Cluster
	// MaxStore bounds what all streams may take on disk, in bytes; 48 GiB where 0.
	MaxStore int64
	Log      *slog.Logger
}

// User is one that may do what it says and no more.
type User struct {
	access.User

	PublicKey string // of its nkey
}

// Cluster tells a server its route port and all members' routes.
type Cluster struct {
	Name   string
	Port   int
	Routes []*url.URL
}

// Server is a running NATS server.
type Server struct {
	*server.Server
	lock *os.File
	opts Options
}

// Start starts a server and returns once it accepts connections.
func Start(o Options) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("nats store: %w", err)
	}
	lock, err := lockStore(o.Dir)
	if err != nil {
		return nil, err
	}
	s, err := start(o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Server{Server: s, lock: lock, opts: o}, nil
}

func start(o Options) (*server.Server, error) {
	port := o.Port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	maxStore := o.MaxStore
	if maxStore == 0 {
		maxStore = 48 << 30
	}
	name, host := o.Name, o.Host
	if name == "" {
		name = "rdev"
	}
	if host == "" {
		host = "127.0.0.1"
	}
	password, err := hashed(o.Password)
	if err != nil {
		return nil, err
	}
	options := &server.Options{
		ServerName: name, Host: host, Port: port,
		Users: withPassword(o.User, password), Nkeys: withNKeys(o.Users),
		JetStream: true, StoreDir: o.Dir, SyncAlways: !o.Unsynced,
		JetStreamMaxStore: maxStore, JetStreamMaxMemory: 1 << 30,
		NoSigs: true, DisableJetStreamBanner: true,
		LameDuckDuration: time.Second, LameDuckGracePeriod: -1,
	}
	if o.Cluster != nil {
		options.Cluster = server.ClusterOpts{Name: o.Cluster.Name, Host: host, Port: o.Cluster.Port}
		options.Routes = o.Cluster.Routes
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	log := &logger{log: o.Log}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if o.Cluster == nil && !s.ReadyForConnections(startUp) {
		s.Shutdown()
		return nil, fmt.Errorf("the NATS server did not start on %s:%d: %s", host, o.Port, log.last())
	}
	return s, nil
}

func withPassword(name, hash string) []*server.User {
	if name == "" {
		return nil
	}
	return []*server.User{{Username: name, Password: hash}}
}

// answerWithin is for how long a user may answer a request that it got.
const answerWithin = time.Minute

func withNKeys(users []User) []*server.NkeyUser {
	var all []*server.NkeyUser
	for _, u := range users {
		all = append(all, &server.NkeyUser{Nkey: u.PublicKey, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: u.Publish, Deny: u.Never},
			Subscribe: &server.SubjectPermission{Allow: u.Subscribe},
			Response:  &server.ResponsePermission{MaxMsgs: 1, Expires: answerWithin},
		}})
	}
	return all
}

// hashed is what the server keeps of a password. It is random and long, so the
// least cost will do: every connection pays it.
func hashed(password string) (string, error) {
	if password == "" {
		return "", nil
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("nats password: %w", err)
	}
	return string(hash), nil
}

// URL is where clients connect, with the user and password in it.
func (s *Server) URL() string {
	u := url.URL{Scheme: "nats", Host: s.Addr().String()}
	if s.opts.User != "" {
		u.User = url.UserPassword(s.opts.User, s.opts.Password)
	}
	return u.String()
}

// Stop ends the server once everything is on disk, and frees the store.
func (s *Server) Stop() error {
	s.Shutdown()
	s.WaitForShutdown()
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("unlock nats store: %w", err)
	}
	return nil
}

// lockStore takes the lock that the kernel gives back however the process ends.
func lockStore(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("nats store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, dir), f.Close())
	}
	return f, nil
}
