// Package local supervises a Redis server of our own on this machine: the caches behind
// `rdev up`. It starts the server that the machine has, and sees to it that it ends with us.
// What is in it does not outlive it, but for its users.
//
//	Options.Dir/
//	├── lock        held while somebody supervises this directory
//	├── password    of the user rdev, who may do everything, 0600
//	├── port        of the loopback interface, from the first start on
//	├── redis.log   what the server said since its last start
//	└── users.acl   the users, with digests of their passwords, 0600
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/orchard9/rdev/libs/cache"
)

// Admin is the user that the URL names.
const Admin = "rdev"

// ErrInUse says that another process, or this one, already supervises the directory.
var ErrInUse = errors.New("the directory is in use")

// startTimeout bounds the start.
const startTimeout = 20 * time.Second

// memory is the most that all caches take together. What was not used for the longest time
// goes then.
const memory = "256mb"

// Options say which server to start, and where it keeps what it has to.
type Options struct {
	Dir     string  // made if missing
	Program Program // as Find has it
	// Log receives the supervisor's own messages; the server's go to redis.log. Default: none.
	Log *slog.Logger
}

// Server is a Redis server that answers.
type Server struct {
	*Process

	url url.URL
}

// URL is how its administrator connects. It contains the password.
func (s *Server) URL() string { return s.url.String() }

// Start starts a server, and returns once it answers. ctx bounds the start, not the life of
// the server, which ends by Stop or with this process. A directory that is supervised
// already is refused with ErrInUse.
func Start(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("local Redis: %w", err)
	}
	o.Dir = dir
	held, err := cache.TryLock(filepath.Join(o.Dir, "lock"))
	if errors.Is(err, cache.ErrLocked) {
		return nil, fmt.Errorf("local Redis: %w: %s", ErrInUse, o.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("local Redis: %w", err)
	}
	server, err := startLocked(ctx, o, held)
	if err != nil {
		return nil, fmt.Errorf("local Redis: %w", err)
	}
	return server, nil
}

// startLocked gives back the lock once the server has ended, or where there is none.
func startLocked(ctx context.Context, o Options, held *os.File) (*Server, error) {
	dir := directory(o.Dir)
	server, err := prepare(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	log := filepath.Join(o.Dir, "redis.log")
	atEnd := func(p *Process, ended error) {
		select {
		case <-p.stopping:
		default:
			o.Log.Error("the server of caches ended by itself", "error", ended, "output", tail(log))
		}
		_ = held.Close()
	}
	server.Process, err = run(ctx, o.Program, log, atEnd, []string{
		"--bind", "127.0.0.1", "--port", server.url.Port(), "--dir", o.Dir, "--aclfile", dir.users(),
		"--databases", "1", "--save", "", "--appendonly", "no", "--maxmemory", memory, "--maxmemory-policy", "allkeys-lru",
		"--proto-max-bulk-len", "32mb", // the largest value: SETRANGE takes no more at once
	})
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	if err := server.awaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the server does not answer: %w: %s", err, tail(log)), server.Stop(ctx))
	}
	o.Log.Info("server of caches started", "program", o.Program.Path, "dir", o.Dir, "address", server.url.Host)
	return server, nil
}

// prepare has a server to be, whose port is free and whose users are in their file.
func prepare(ctx context.Context, dir directory) (*Server, error) {
	password, err := dir.password()
	if err != nil {
		return nil, err
	}
	port, err := dir.port(ctx)
	if err != nil {
		return nil, err
	}
	server := &Server{url: url.URL{Scheme: "redis", User: url.UserPassword(Admin, password), Host: "127.0.0.1:" + port}}
	if err := server.evict(ctx); err != nil {
		return nil, fmt.Errorf("%w; it is the port of the file %s, which the credentials of projects name", err, filepath.Join(string(dir), "port"))
	}
	return server, dir.writeUsers(password)
}

// awaitReady returns once the server answers to its administrator.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		_, err := s.ask(ctx, "PING")
		if err == nil {
			return nil
		}
		select {
		case <-s.Done():
			return errors.New("it ended during its start")
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}
