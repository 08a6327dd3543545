// Package redis makes the caches of projects on a Redis of the operator's, of version 7 or
// later.
//
// A project's cache is a user of the server and the keys, and channels, with one prefix.
// Users of Redis have no comments: the name is the mark, which is made of the
// installation's id and of the slug. The user is there before the first key, and goes
// after the last one, so that what a crash leaves is always known. Keys with the prefix
// and no user of the name are somebody else's, and stay as they are.
//
// What a user may is an allow list (rules.go). A server may have forgotten users, as after
// a restart or where a replica took over: Create gives them back.
package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	dialTimeout    = 5 * time.Second
	commandTimeout = 15 * time.Second // that of one command, or of a batch
	commandRetries = 1                // where the connection broke
)

// Server implements app.Caches.
type Server struct {
	options      *redis.Options // of the administrator
	scheme       string         // of the URL, redis or rediss
	installation string
	hook         redis.Hook // of tests
}

// New takes the URL of a user who may do everything, redis: or rediss:, and the id of this
// installation. It does not connect.
func New(address, installation string) (*Server, error) {
	// The causes would repeat the URL, and with it the password.
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "redis" && parsed.Scheme != "rediss" || parsed.Hostname() == "" {
		return nil, errors.New("it is not of the form redis://user:password@host:port, or rediss: over TLS")
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("it is not a URL with which one can connect to Redis")
	}
	if options.DB != 0 {
		return nil, fmt.Errorf("it names the database %d: caches are in database 0", options.DB)
	}
	logging.Disable() // the library would write to stderr what it returns as well
	options.Protocol, options.DisableIdentity = 2, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = dialTimeout, commandTimeout, commandTimeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = commandRetries, 1
	options.PoolSize, options.PipelinePoolSize, options.MinIdleConns, options.MaxActiveConns = 1, -1, 0, 0
	return &Server{options: options, scheme: parsed.Scheme, installation: installation}, nil
}

// session is a connection, which is made with the first command, and broken off when its
// context ends.
type session struct {
	*redis.Client

	release func() bool
}

// connect is a session of the administrator, with a database.
func (s *Server) connect(ctx context.Context, database int) *session {
	options := *s.options
	options.DB = database
	return s.open(ctx, &options)
}

// connectAs is a session of a user, of the user default and without a password where the
// name is "".
func (s *Server) connectAs(ctx context.Context, user, password string) *session {
	options := *s.options
	options.Username, options.Password = user, password
	return s.open(ctx, &options)
}

func (s *Server) open(ctx context.Context, options *redis.Options) *session {
	client := redis.NewClient(options)
	if s.hook != nil {
		client.AddHook(s.hook)
	}
	// The library looks at the deadline of a context alone while it waits for an answer.
	return &session{client, context.AfterFunc(ctx, func() { _ = client.Close() })}
}

// close says goodbye. What was done is done.
func (c *session) close() {
	if c.release() {
		_ = c.Close()
	}
}

// do runs a command whose answer says no more than that it was done.
func (c *session) do(ctx context.Context, words ...any) error { return c.Do(ctx, words...).Err() }

// slugPattern has no character that is more than itself in a pattern of keys.
var slugPattern = regexp.MustCompile(`^[a-z0-9-]+$`)

// nameOf is the name of a project's user.
func (s *Server) nameOf(slug string) (string, error) {
	if !slugPattern.MatchString(slug) {
		return "", refusal("%q is not a slug", slug)
	}
	sum := sha256.Sum256([]byte(s.installation))
	return "rdev-" + hex.EncodeToString(sum[:6]) + "-" + slug, nil
}

// prefixOf is the prefix of a user's keys. It ends in the delimiter, which no name has: so
// none is the prefix of another.
func prefixOf(name string) string { return name + ":" }

// urlOf is how a user connects. Clients disagree on colons in names: there is none.
func (s *Server) urlOf(name, password string) string {
	address := url.URL{Scheme: s.scheme, User: url.UserPassword(name, password), Host: s.options.Addr, Path: "/0"}
	return address.String()
}
