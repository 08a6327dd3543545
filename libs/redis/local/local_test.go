package local_test

import (
	"bufio"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/libs/redis/local"
	"github.com/orchard9/rdev/libs/testkit"
)

// child is what this program reads where it is one that starts a server, and is killed.
type child struct {
	Dir     string   `env:"TEST_REDIS_DIR"`
	Program string   `env:"TEST_REDIS_PROGRAM"`
	Env     []string `env:"TEST_REDIS_ENV" envSeparator:"|"`
}

func TestMain(m *testing.M) {
	c, err := envutil.Load[child]()
	if err != nil || c.Dir == "" {
		os.Exit(m.Run())
	}
	server, err := local.Start(context.Background(), local.Options{Dir: c.Dir, Program: local.Program{Path: c.Program, Env: c.Env}})
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(server.URL() + "\n")
	<-server.Done()
}

func start(t *testing.T, dir string) *local.Server {
	t.Helper()
	server, err := local.Start(t.Context(), local.Options{Dir: dir, Program: testkit.RedisProgram(t), Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

func stop(t *testing.T, server *local.Server) {
	t.Helper()
	if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// ask asks as who is in a URL.
func ask(t *testing.T, address string, command ...string) (string, error) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := parsed.User.Password()
	return local.Ask(t.Context(), parsed.Host, parsed.User.Username(), password, command...)
}

func TestAServerComesBackWhereItWasWithItsUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := start(t, dir)
	for _, command := range [][]string{{"ACL", "SETUSER", "shop", "on", ">secret", "~shop:*", "+@all"}, {"ACL", "SAVE"}} {
		if answer, err := ask(t, server.URL(), command...); answer != "+OK" || err != nil {
			t.Fatalf("%q: %q, %v", command, answer, err)
		}
	}
	if _, err := local.Start(t.Context(), local.Options{Dir: dir, Program: testkit.RedisProgram(t)}); !errors.Is(err, local.ErrInUse) {
		t.Errorf("another one on the directory: %v", err)
	}
	parsed, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	for user, command := range map[string][]string{"": {"PING"}, "shop": {"SELECT", "1"}} {
		if _, err := local.Ask(t.Context(), parsed.Host, user, "secret", command...); err == nil {
			t.Errorf("%q does %q", user, command)
		}
	}
	for _, kill := range []bool{false, true} {
		if kill {
			server.Kill()
		} else {
			stop(t, server)
		}
		again := start(t, dir)
		if again.URL() != server.URL() {
			t.Errorf("it was at %s, and is at %s", server.URL(), again.URL())
		}
		if answer, err := local.Ask(t.Context(), parsed.Host, "shop", "secret", "PING"); answer != "+PONG" || err != nil {
			t.Errorf("its user: %q, %v", answer, err)
		}
		server = again
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 && filepath.Base(file) != "lock" {
			t.Errorf("%s is %v, %v", file, info.Mode(), err)
		}
	}
}

func TestAServerEndsWithItsProcessAndMakesWay(t *testing.T) {
	t.Parallel()
	dir, program := t.TempDir(), testkit.RedisProgram(t)
	var last string
	for range 3 {
		parent := exec.Command(os.Args[0])
		parent.Env = append(os.Environ(), "TEST_REDIS_DIR="+dir, "TEST_REDIS_PROGRAM="+program.Path, "TEST_REDIS_ENV="+strings.Join(program.Env, "|"))
		output, err := parent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		said, err := bufio.NewReader(output).ReadString('\n')
		last = strings.TrimSpace(said)
		if err != nil || !strings.HasPrefix(last, "redis://") {
			t.Fatalf("it says %q, %v", last, err)
		}
		_ = parent.Process.Kill()
		_ = parent.Wait()
		// The next one does not wait until the server has ended by itself.
	}
	testkit.Eventually(t, func() error {
		if _, err := ask(t, last, "PING"); err == nil {
			return errors.New("it answers")
		}
		return nil
	})
	start(t, dir)
}

func TestAPortThatSomebodyElseHasIsSaid(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), testkit.Redis(t)
	_, port, _ := strings.Cut(other.Address, ":")
	if err := os.WriteFile(filepath.Join(dir, "port"), []byte(port+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := local.Start(t.Context(), local.Options{Dir: dir, Program: testkit.RedisProgram(t)})
	if err == nil || !strings.Contains(err.Error(), "something else listens at "+other.Address) || !strings.Contains(err.Error(), filepath.Join(dir, "port")) {
		t.Errorf("it says %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "port"), []byte("70000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Start(t.Context(), local.Options{Dir: dir, Program: testkit.RedisProgram(t)}); err == nil || !strings.Contains(err.Error(), "has no port") {
		t.Errorf("it says %v", err)
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.acl"), []byte("user shop on +nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := local.Start(t.Context(), local.Options{Dir: dir, Program: testkit.RedisProgram(t)})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("it says %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "users.acl")); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
}

func TestAProgramThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, script := range map[string]string{"old": "echo Redis server v=6.2.1 sha=0", "other": "echo nginx/1.2", "broken": "exit 1"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := (local.Program{Path: path}).Check(t.Context()); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := testkit.RedisProgram(t).Check(t.Context()); err != nil {
		t.Error(err)
	}
}
