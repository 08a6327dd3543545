package testkit

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/cache"
	"github.com/orchard9/rdev/libs/debian"
	"github.com/orchard9/rdev/libs/redis/local"
)

// RedisProgram is a server's program, as Redis has it.
func RedisProgram(t testing.TB) local.Program {
	t.Helper()
	program, err := redisProgram()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// RedisServer is a Redis that a test ends and starts again. It keeps its address; of what
// is in it, it keeps the users that it saved. The user default is off.
type RedisServer struct {
	Address  string // host:port
	AdminURL string // of a user who may do everything
	ACLFile  string // "" where it has none

	t       testing.TB
	program local.Program
	log     string
	args    []string
	process *local.Process
}

// RedisUsers is where a Redis keeps its users.
type RedisUsers string

// Where it may keep them.
const (
	RedisACLFile    RedisUsers = "ACL file"
	RedisConfigFile RedisUsers = "configuration file"
	RedisMemory     RedisUsers = "memory" // nowhere: it was started without a file
)

// redisPatience bounds the start of a server, a download included.
const redisPatience = 5 * time.Minute

// redisProgram is the machine's, or else the one of the system's package, unpacked once
// into the cache.
var redisProgram = sync.OnceValues(findRedis)

// Redis is a Redis server with one database and a limit of its memory, which ends with the
// test, or with the process of the test.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	return RedisWith(t, RedisACLFile, "databases 1", "maxmemory 64mb", "proto-max-bulk-len 1mb")
}

// RedisWith is a Redis that keeps its users in a place of the test's choice, and has other
// settings, each a line of redis.conf.
func RedisWith(t testing.TB, users RedisUsers, settings ...string) *RedisServer {
	t.Helper()
	dir, password := t.TempDir(), rand.Text()
	s := &RedisServer{Address: FreeAddress(t), t: t, program: RedisProgram(t), log: filepath.Join(dir, "redis.log")}
	s.AdminURL = (&url.URL{Scheme: "redis", User: url.UserPassword("admin", password), Host: s.Address}).String()
	host, port, _ := strings.Cut(s.Address, ":")
	settings = append([]string{"bind " + host, "port " + port, "dir " + dir, "appendonly no", "loglevel warning"}, settings...)
	known := []string{"user default off", "user admin on >" + password + " ~* &* +@all"}
	if users == RedisACLFile {
		s.ACLFile = filepath.Join(dir, "users.acl")
		write(t, s.ACLFile, known)
		settings = append(settings, "aclfile "+s.ACLFile)
	} else {
		settings = append(settings, known...)
	}
	if users == RedisMemory {
		for _, line := range settings {
			s.args = append(s.args, strings.Fields("--"+line)...)
		}
		s.args = append(s.args, "--save", "")
	} else {
		s.args = []string{filepath.Join(dir, "redis.conf")}
		write(t, s.args[0], append(settings, `save ""`))
	}
	t.Cleanup(func() {
		if err := s.process.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			said, _ := os.ReadFile(s.log)
			t.Logf("the Redis server said:\n%s", said)
		}
	})
	s.Start()
	return s
}

// Start starts the server where Kill ended it.
func (s *RedisServer) Start() {
	s.t.Helper()
	process, err := local.Run(s.t.Context(), s.program, s.log, s.args...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = process
	Eventually(s.t, func() error {
		_, err := local.Ask(s.t.Context(), s.Address, "", "", "PING")
		if err != nil && !strings.HasPrefix(err.Error(), "NOAUTH") {
			return err
		}
		return nil
	})
}

// Kill ends the server as kill -9 does.
func (s *RedisServer) Kill() { s.process.Kill() }

func write(t testing.TB, path string, lines []string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func findRedis() (local.Program, error) {
	ctx, cancel := context.WithTimeout(context.Background(), redisPatience)
	defer cancel()
	if program, err := local.Find(ctx); err == nil {
		return program, nil
	}
	program, err := fetchRedis(ctx)
	if err != nil {
		return program, fmt.Errorf("%w; its package cannot be had either: %w", local.ErrMissing, err)
	}
	return program, nil
}

// fetchRedis unpacks the package of the system, and those of libraries that no system has
// without it.
func fetchRedis(ctx context.Context) (local.Program, error) {
	var none local.Program
	dir, err := cache.Dir()
	if err != nil {
		return none, err
	}
	release, err := debian.Name()
	if err != nil {
		return none, err
	}
	root := filepath.Join(dir, "redis", release)
	err = cache.Fill(ctx, root, func(partial string) error {
		return debian.Unpack(ctx, partial, "redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1")
	})
	if err != nil {
		return none, err
	}
	env, _ := debian.Env(root)
	program := local.Program{Path: filepath.Join(root, "usr/bin/redis-server"), Env: env}
	return program, program.Check(ctx)
}
