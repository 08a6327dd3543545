package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var _ app.Caches = (*Server)(nil)

// world is a server, with one who watches it all.
type world struct {
	*testkit.RedisServer

	t   *testing.T
	all *redis.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return watch(t, testkit.Redis(t))
}

func watch(t *testing.T, server *testkit.RedisServer) *world {
	t.Helper()
	w := &world{RedisServer: server, t: t}
	w.all = w.client(server.AdminURL)
	return w
}

// client connects to a URL, as a program of a project does.
func (w *world) client(address string) *redis.Client {
	w.t.Helper()
	options, err := redis.ParseURL(address)
	if err != nil {
		w.t.Fatal(err)
	}
	client := redis.NewClient(options)
	w.t.Cleanup(func() { _ = client.Close() })
	return client
}

// server is an installation of its own on the server.
func (w *world) server() *Server {
	w.t.Helper()
	s, err := New(w.AdminURL, rand.Text())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) create(s *Server, slug string) app.Cache {
	w.t.Helper()
	made, err := s.Create(w.t.Context(), slug, rand.Text())
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *world) do(words ...any) any {
	w.t.Helper()
	answer, err := w.all.Do(w.t.Context(), words...).Result()
	if err != nil {
		w.t.Fatalf("%v: %v", words, err)
	}
	return answer
}

// list is a list of words as it is sent.
func list(text string) (words []any) {
	for word := range strings.FieldsSeq(text) {
		words = append(words, word)
	}
	return words
}

// there is all that the server has, but the user default and the administrator: users with
// their rules, and keys with their values.
func (w *world) there() string {
	w.t.Helper()
	all, err := w.all.ACLList(w.t.Context()).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(line string) bool {
		return strings.HasPrefix(line, "user default ") || strings.HasPrefix(line, "user admin ")
	})
	keys, err := w.all.Keys(w.t.Context(), "*").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		value, err := w.all.Dump(w.t.Context(), key).Result()
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("key %q %x", key, value))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// saved is what the file of users has of a name.
func (w *world) saved(name string) bool {
	w.t.Helper()
	w.Kill()
	w.Start()
	users, err := w.all.ACLUsers(w.t.Context()).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.Contains(users, name)
}

// errKilled is what a process that is dead gets.
var errKilled = errors.New("killed")

// mortal is a process that dies before, or after, a command.
type mortal struct {
	mu     sync.Mutex
	passed int // boundaries so far: two for each command
	killAt int // 0 for never
	dead   bool
	said   []string
}

func (m *mortal) pass() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed++
	m.dead = m.dead || m.passed == m.killAt
	if m.dead {
		return errKilled
	}
	return nil
}

// DialHook implements redis.Hook.
func (*mortal) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

// ProcessHook implements redis.Hook.
func (m *mortal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		m.mu.Lock()
		m.said = append(m.said, strings.Trim(fmt.Sprint(cmd.Args()), "[]"))
		m.mu.Unlock()
		if err := m.pass(); err != nil {
			cmd.SetErr(err)
			return err
		}
		err := next(ctx, cmd)
		if killed := m.pass(); killed != nil {
			cmd.SetErr(killed)
			return killed
		}
		return err
	}
}

// ProcessPipelineHook implements redis.Hook. What is sent together changes nothing here.
func (m *mortal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		m.mu.Lock()
		dead := m.dead
		for _, cmd := range cmds {
			m.said = append(m.said, strings.Trim(fmt.Sprint(cmd.Args()), "[]"))
		}
		m.mu.Unlock()
		if dead {
			return errKilled
		}
		return next(ctx, cmds)
	}
}

// meddler is what others do after each command.
type meddler struct {
	*mortal

	after func(words string)
}

// ProcessHook implements redis.Hook.
func (m meddler) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		m.after(strings.Trim(fmt.Sprint(cmd.Args()), "[]"))
		return err
	}
}
