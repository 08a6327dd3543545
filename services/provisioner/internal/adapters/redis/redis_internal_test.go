package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func TestACacheIsMadeUsedAndDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	said := &mortal{}
	s.hook = said
	name, err := s.Plan(t.Context(), "my-shop")
	if err != nil || w.there() != "" {
		t.Fatalf("%v, and there is %s", err, w.there())
	}
	password := rand.Text()
	made, err := s.Create(t.Context(), "my-shop", password)
	if err != nil {
		t.Fatal(err)
	}
	want := app.Cache{User: name, Prefix: name + ":", Host: w.Address, URL: "redis://" + name + ":" + password + "@" + w.Address + "/0"}
	if made != want || !strings.HasPrefix(name, "rdev-") || !strings.HasSuffix(name, "-my-shop") {
		t.Errorf("it is %+v, want %+v", made, want)
	}
	if got := w.do("DBSIZE"); got != int64(0) {
		t.Errorf("the try left %d keys", got)
	}
	program := w.client(made.URL)
	if err := program.Set(t.Context(), made.Prefix+"orders", 1, 0).Err(); err != nil {
		t.Error(err)
	}
	for _, words := range said.said {
		// One of them is by which its program comes in.
		if strings.Contains(words, password) && !strings.HasPrefix(words, "hello ") && !strings.HasPrefix(words, "auth ") {
			t.Errorf("the password was said: %s", words)
		}
	}
	if known, err := s.Known(t.Context(), "my-shop", password); !known || err != nil {
		t.Errorf("it is known: %t, %v", known, err)
	}
	if differences, err := s.Verify(t.Context(), "my-shop"); len(differences) > 0 || err != nil {
		t.Errorf("it differs: %q, %v", differences, err)
	}

	if err := s.Drop(t.Context(), "my-shop"); err != nil || w.there() != "" {
		t.Fatalf("%v; left is %s", err, w.there())
	}
	if err := program.Ping(t.Context()).Err(); err == nil {
		t.Error("a connection goes on")
	}
	if w.saved(name) {
		t.Error("it comes back with a restart")
	}
	if err := s.Drop(t.Context(), "my-shop"); err != nil {
		t.Errorf("nothing to drop: %v", err)
	}
	if known, err := s.Known(t.Context(), "my-shop", password); known || err != nil {
		t.Errorf("it is known: %t, %v", known, err)
	}
}

func TestAnotherPasswordPutsOutWhoHasTheOneBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	before, other := w.create(s, "shop"), w.create(s, "blog")
	if err := w.client(before.URL).Set(t.Context(), before.Prefix+"orders", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	live, bystander := w.client(before.URL).Conn(), w.client(other.URL).Conn()
	for _, conn := range []*redis.Conn{live, bystander} {
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	next := w.create(s, "shop")
	if err := live.Ping(t.Context()).Err(); err == nil {
		t.Error("a connection with the password before goes on")
	}
	if err := bystander.Ping(t.Context()).Err(); err != nil {
		t.Errorf("one of another project: %v", err)
	}
	if err := w.client(before.URL).Ping(t.Context()).Err(); !refused(err) {
		t.Errorf("with the password before: %v", err)
	}
	if got, err := w.client(next.URL).Get(t.Context(), next.Prefix+"orders").Int(); got != 1 || err != nil {
		t.Errorf("what was in it is %d, %v", got, err)
	}

	// With the same password nobody is put out.
	live = w.client(next.URL).Conn()
	parsed, err := redis.ParseURL(next.URL)
	if err != nil {
		t.Fatal(err)
	}
	id := live.ClientID(t.Context()).Val()
	if _, err := s.Create(t.Context(), "shop", parsed.Password); err != nil || live.ClientID(t.Context()).Val() != id || id == 0 {
		t.Errorf("%v; it was connection %d, and is %d", err, id, live.ClientID(t.Context()).Val())
	}
}

func TestACacheOutlivesItsServer(t *testing.T) {
	t.Parallel()
	for _, users := range []testkit.RedisUsers{testkit.RedisACLFile, testkit.RedisConfigFile} {
		t.Run(string(users), func(t *testing.T) {
			t.Parallel()
			w := watch(t, testkit.RedisWith(t, users, "databases 1"))
			s := w.server()
			if _, err := s.Plan(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
			password := rand.Text()
			made, err := s.Create(t.Context(), "shop", password)
			if err != nil {
				t.Fatal(err)
			}
			w.Kill()
			if _, err := s.Known(t.Context(), "shop", password); err == nil || answered(err) != "" {
				t.Errorf("where there is no server: %v", err)
			}
			w.Start()
			if known, err := s.Known(t.Context(), "shop", password); !known || err != nil {
				t.Errorf("it is known: %t, %v", known, err)
			}
			if err := w.client(made.URL).Set(t.Context(), made.Prefix+"x", 1, 0).Err(); err != nil {
				t.Error(err)
			}
			if err := s.Drop(t.Context(), "shop"); err != nil || w.saved(made.User) {
				t.Errorf("dropped: %v, or it comes back", err)
			}
		})
	}
}

func TestAServerThatForgetsItsUsersIsRefused(t *testing.T) {
	t.Parallel()
	w := watch(t, testkit.RedisWith(t, testkit.RedisMemory, "databases 1"))
	s := w.server()
	_, planned := s.Plan(t.Context(), "shop")
	_, created := s.Create(t.Context(), "shop", "x")
	for what, err := range map[string]error{"plan": planned, "create": created} {
		if known, ok := errors.AsType[*app.StepError](err); !ok || known.Failure.Class != contract.ClassUser || !strings.Contains(known.Failure.Message, "set aclfile in its redis.conf") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Drop(t.Context(), "shop"); err != nil || w.there() != "" {
		t.Errorf("dropped: %v, left is %s", err, w.there())
	}
}

func TestKnownAndVerifySeeWhatIsNotAsItIsToBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	const slug, password = "shop", "secret"
	name, _ := s.nameOf(slug)
	for change, want := range map[string]string{
		"DELUSER " + name:                             "is missing",
		"SETUSER " + name + " off":                    "is off",
		"SETUSER " + name + " >other":                 "has 2 passwords",
		"SETUSER " + name + " resetpass":              "has 0 passwords",
		"SETUSER " + name + " nopass":                 "gets in with any password",
		"SETUSER " + name + " +scan":                  "may run SCAN 0",
		"SETUSER " + name + " +@all":                  "more",
		"SETUSER " + name + " -get":                   "may not run GET",
		"SETUSER " + name + " resetkeys":              "may not run GET",
		"SETUSER " + name + " resetchannels":          "may not run PUBLISH",
		"SETUSER " + name + " allkeys":                "may run GET",
		"SETUSER " + name + " allchannels":            "may run PUBLISH",
		"SETUSER " + name + " +select":                "may run SELECT",
		"SETUSER " + name + " +client|tracking":       "may run CLIENT TRACKING",
		"SETUSER " + name + " +function":              "may run FUNCTION",
		"SETUSER " + name + " (+@all ~* &*)":          "may run GET",
		"SETUSER " + name + " resetpass >another one": "",
	} {
		if _, err := s.Create(t.Context(), slug, password); err != nil {
			t.Fatal(err)
		}
		w.do(append([]any{"ACL"}, words(change)...)...)
		known, err := s.Known(t.Context(), slug, password)
		if known || err != nil {
			t.Errorf("%s: it is known: %t, %v", change, known, err)
		}
		m := &mortal{}
		s.hook = m
		differences, err := s.Verify(t.Context(), slug)
		s.hook = nil
		if err != nil || (want == "") != (len(differences) == 0) || !strings.Contains(strings.Join(differences, "; "), want) {
			t.Errorf("%s: it says %q, %v", change, differences, err)
		}
		for _, said := range m.said {
			command, _, _ := strings.Cut(strings.ToLower(said), " ")
			if command != "info" && command != "ping" && !strings.HasPrefix(said, "ACL GETUSER ") && !strings.HasPrefix(said, "ACL DRYRUN ") &&
				command != "hello" && command != "select" && command != "auth" && command != "client" {
				t.Errorf("verify says %s", said)
			}
		}
	}
	if _, err := s.Create(t.Context(), slug, password); err != nil {
		t.Fatal(err)
	}
	w.do(list("ACL SETUSER default on nopass")...)
	if differences, err := s.Verify(t.Context(), slug); err != nil || len(differences) != 1 || !strings.Contains(differences[0], "lets everybody in") {
		t.Errorf("it says %q, %v", differences, err)
	}
}

// words takes what is in parentheses, or follows a >, as one.
func words(text string) (all []any) {
	for word := range strings.FieldsSeq(text) {
		if last := len(all) - 1; last >= 0 {
			before, _ := all[last].(string)
			if strings.HasPrefix(before, "(") && !strings.HasSuffix(before, ")") || strings.HasPrefix(before, ">") {
				all[last] = before + " " + word
				continue
			}
		}
		all = append(all, word)
	}
	return all
}

func TestAServerThatCanHaveNoCachesSaysSo(t *testing.T) {
	t.Parallel()
	replica := watch(t, testkit.RedisWith(t, testkit.RedisACLFile, "databases 1", "replicaof 127.0.0.1 1"))
	cluster := watch(t, testkit.RedisWith(t, testkit.RedisACLFile, "cluster-enabled yes"))
	for want, w := range map[string]*world{"Redis Cluster": cluster, "is a replica": replica} {
		_, err := w.server().Plan(t.Context(), "shop")
		if known, ok := errors.AsType[*app.StepError](err); !ok || known.Failure.Class != contract.ClassUser || !strings.Contains(known.Failure.Message, want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	w := newWorld(t)
	for user, password := range map[string]string{"admin": "wrong", "nobody": "x", "weak": "x"} {
		w.do("ACL", "SETUSER", "weak", "on", ">x", "+ping")
		s, err := New("redis://"+user+":"+password+"@"+w.Address, "i")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Plan(t.Context(), "shop")
		if known, ok := errors.AsType[*app.StepError](err); !ok || known.Failure.Class != contract.ClassAuth || strings.Contains(err.Error(), password+"@") {
			t.Errorf("as %s: %v", user, err)
		}
	}
}

func TestAServerThatIsFullSaysSo(t *testing.T) {
	t.Parallel()
	w := watch(t, testkit.RedisWith(t, testkit.RedisACLFile, "databases 1", "maxmemory 1"))
	_, err := w.server().Create(t.Context(), "shop", "x")
	if known, ok := errors.AsType[*app.StepError](err); !ok || known.Failure.Class != contract.ClassUser || !strings.Contains(known.Failure.Message, "maxmemory") {
		t.Errorf("it says %v", err)
	}
}

func TestADropCanBeCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	made := w.create(s, "shop")
	w.do("SET", made.Prefix+"x", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drop(ctx, "shop"); !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // it takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if s, err = New("redis://u:p@"+silent.Addr().String(), "i"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		if conn, err := silent.Accept(); err == nil {
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 1)) // it has come
			cancel()
			<-t.Context().Done()
		}
	}()
	began := time.Now()
	if err := s.Drop(ctx, "shop"); err == nil || time.Since(began) >= commandTimeout {
		t.Errorf("it says %v after %s", err, time.Since(began))
	}
}

func TestAnAddressThatIsNoneIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "redis://u:canary@[::1", "http://u:canary@h", "redis://u:canary@", "redis://u:canary@h:port", "redis://u:canary@h/x",
		"redis://u:canary@h/3", "redis://u:canary@h?canary=1", "unix://u:canary@/run/redis.sock", "h:6379 canary",
	} {
		if _, err := New(address, "i"); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for address, want := range map[string]string{
		"redis://h":                   "redis://n:p@h:6379/0",
		"rediss://u:x@h:1/0":          "rediss://n:p@h:1/0",
		"redis://u:x@[::1]:1":         "redis://n:p@[::1]:1/0",
		"rediss://h?skip_verify=true": "rediss://n:p@h:6379/0",
	} {
		s, err := New(address, "i")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.urlOf("n", "p"); got != want {
			t.Errorf("of %s it is %s, want %s", address, got, want)
		}
	}
}

func TestNamesNeverCollideNorArePatterns(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range []*Server{{installation: "one"}, {installation: "other"}} {
		for _, slug := range []string{"a", "a-b", "a--b", "ab", "1", strings.Repeat("a", 40)} {
			name, err := s.nameOf(slug)
			if err != nil {
				t.Fatal(err)
			}
			for other, prefix := range seen {
				if strings.HasPrefix(prefixOf(name), prefix) || strings.HasPrefix(prefix, prefixOf(name)) {
					t.Errorf("%s and %s meet", name, other)
				}
			}
			seen[name] = prefixOf(name)
		}
	}
	s, err := New("redis://127.0.0.1:1", "i")
	if err != nil {
		t.Fatal(err)
	}
	for _, slug := range []string{"", "*", "[ab]", "a?", `a\`, "a b", "A", "a:b", "a\n"} {
		_, planned := s.Plan(t.Context(), slug)
		_, created := s.Create(t.Context(), slug, "x")
		_, known := s.Known(t.Context(), slug, "x")
		_, verified := s.Verify(t.Context(), slug)
		for _, err := range []error{planned, created, known, verified, s.Drop(t.Context(), slug)} {
			if failure, ok := errors.AsType[*app.StepError](err); !ok || !strings.Contains(failure.Failure.Message, "is not a slug") {
				t.Errorf("%q: %v", slug, err)
			}
		}
	}
}
