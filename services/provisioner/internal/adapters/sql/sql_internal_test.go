package sql

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func TestADatabaseIsMadeUsedAndDropped(t *testing.T) {
	w := newWorld(t)
	s := w.server("my-shop")
	said := &mortal{}
	s.config.Tracer = said
	name, err := s.Plan(t.Context(), "my-shop")
	if err != nil || w.there(name) != "" {
		t.Fatalf("%v, and there is %s", err, w.there(name))
	}
	password := rand.Text()
	made, err := s.Create(t.Context(), "my-shop", password)
	if err != nil {
		t.Fatal(err)
	}
	if made.Name != name || made.Role != name || !strings.HasPrefix(name, "project_my_shop_") || made.Host == "" || strings.Contains(made.Host, password) {
		t.Errorf("it is %+v", made)
	}
	conn := w.connect(made.URL)
	if _, err := conn.Exec(t.Context(), `create table public.orders (id int); create schema more; create temporary table x (id int); create extension pgcrypto; insert into orders values (1)`); err != nil {
		t.Error(err)
	}

	// Once more: what is in it stays, and the password is another.
	next := w.create(s, "my-shop")
	var orders int
	if err := w.connect(next.URL).QueryRow(t.Context(), `select count(*) from orders`).Scan(&orders); err != nil || orders != 1 {
		t.Errorf("%d orders, %v", orders, err)
	}
	if err := s.try(t.Context(), made.URL); code(err) != "28P01" {
		t.Errorf("with the password before: %v", err)
	}
	if said := strings.Join(said.said, "\n"); strings.Contains(said, password) {
		t.Errorf("the password was said:\n%s", said)
	}

	if err := s.Drop(t.Context(), "my-shop"); err != nil {
		t.Fatal(err)
	}
	if got := w.there(name); got != "" {
		t.Errorf("left is %s", got)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a session goes on")
	}
	if err := s.Drop(t.Context(), "my-shop"); err != nil {
		t.Errorf("nothing to drop: %v", err)
	}
}

// Whoever is killed where: another attempt completes it, or removes all.
func TestWhatAKilledAttemptLeavesIsCompletedAndRemoved(t *testing.T) {
	w := newWorld(t)
	const slug = "shop"
	s := w.server(slug)
	name := s.nameOf(slug)
	killed := func(killAt int, do func() error) int { return w.killed(s, killAt, do) }
	create := func() error { _, err := s.Create(t.Context(), slug, rand.Text()); return err }
	drop := func() error { return s.Drop(t.Context(), slug) }
	gone := func(killAt int, when string) {
		t.Helper()
		if got := w.there(name); got != "" {
			t.Fatalf("killed at %d, %s: left is\n%s", killAt, when, got)
		}
	}
	creating, dropping := killed(0, create), killed(0, drop)
	gone(0, "dropped")
	if creating < 20 || dropping < 12 {
		t.Errorf("there are %d and %d boundaries: this test kills too little", creating, dropping)
	}
	for killAt := 1; killAt <= creating; killAt++ {
		killed(killAt, create)
		if _, err := s.Plan(t.Context(), slug); err != nil {
			t.Fatalf("killed at %d: it does not know its own: %v\n%s", killAt, err, w.there(name))
		}
		if killAt%2 == 0 {
			if made := w.create(s, slug); w.connect(made.URL).Ping(t.Context()) != nil {
				t.Errorf("killed at %d: it does not work", killAt)
			}
		}
		if err := drop(); err != nil {
			t.Fatalf("killed at %d: %v", killAt, err)
		}
		gone(killAt, "created, dropped")
		if killAt%3 > 0 {
			continue
		}
		killed(killAt, create)
		for again := 1; again <= dropping; again++ {
			killed(again, drop) // of whatever is there: it may have no statement of that number
		}
		if err := drop(); err != nil {
			t.Fatalf("killed at %d: %v", killAt, err)
		}
		gone(killAt, "created, dropped over and over")
	}
	for killAt := 1; killAt <= dropping; killAt++ {
		w.create(s, slug)
		killed(killAt, drop)
		if killAt%2 == 0 {
			w.create(s, slug)
		}
		if err := drop(); err != nil {
			t.Fatalf("dropping, killed at %d: %v", killAt, err)
		}
		gone(killAt, "dropped")
	}
}

// Names, by which roles and databases of others may be called, are filled with all kinds
// of things: none of them changes.
func TestWhatIsNotMarkedIsNeverChanged(t *testing.T) {
	w := newWorld(t)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	other := "test_other_" + strings.ToLower(rand.Text()[:10])
	w.exec("create role " + other)
	t.Cleanup(func() { w.check(w.after("drop role " + other)) })
	for round := range 30 {
		slug := fmt.Sprintf("shop-%d", round)
		s := w.server()
		name := s.nameOf(slug)
		comments := []string{"", "of somebody", "rdev installation=" + rand.Text() + " project=" + slug, s.markOf("another"), s.markOf(slug) + " "}
		comment := func() string { return literal(comments[random.IntN(len(comments))]) }
		role, database := random.IntN(3), random.IntN(4)
		ours := false // a marked role beside a database of somebody else
		if role > 0 {
			w.exec("create role " + name)
			if role == 1 && database > 0 && random.IntN(2) == 0 {
				ours = true
				w.exec("comment on role " + name + " is " + literal(s.markOf(slug)))
			} else {
				w.exec("comment on role " + name + " is " + comment())
			}
		}
		if database > 0 {
			w.exec("create database " + name + " owner " + []string{w.user, other}[database%2])
			text := comment()
			switch {
			case ours && database%2 == 0 && text == "''":
				text = "'of somebody'" // with none it would be half made by us
			case ours && database%2 == 1:
				text = "''" // only its owner tells that it is not
			}
			w.exec("comment on database " + name + " is " + text)
		}
		if role == 0 && database == 0 {
			continue
		}
		before := w.there(name)
		_, planned := s.Plan(t.Context(), slug)
		_, created := s.Create(t.Context(), slug, "x")
		for what, err := range map[string]error{"plan": planned, "create": created, "drop": s.Drop(t.Context(), slug)} {
			known, ok := errors.AsType[*app.StepError](err)
			if !ok || known.Failure.Class != contract.ClassUser || !strings.Contains(known.Failure.Message, name+" is there, and is not this installation's: ") {
				t.Errorf("%s where there is\n%s\n: %v", what, before, err)
			}
		}
		if after := w.there(name); after != before {
			t.Errorf("there was\n%s\nand is\n%s", before, after)
		}
		w.exec("drop database if exists "+name, "drop role if exists "+name)
	}
}

func TestNamesNeverCollide(t *testing.T) {
	one, other := &Server{installation: "one"}, &Server{installation: "other"}
	valid := regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	seen := map[string]bool{}
	for _, s := range []*Server{one, other} {
		for _, slug := range []string{"a", "a-b", "a--b", "1", strings.Repeat("a", 40), strings.Repeat("a", 39) + "b"} {
			name := s.nameOf(slug)
			if !valid.MatchString(name) || seen[name] || name != s.nameOf(slug) {
				t.Errorf("%s is called %q", slug, name)
			}
			seen[name] = true
		}
	}
}

func TestARoleThatMayNotMakeDatabasesSaysSo(t *testing.T) {
	w := newWorld(t)
	s := w.server()
	for _, right := range []string{"createdb", "createrole"} {
		w.exec("alter role " + w.user + " no" + right)
		_, err := s.Plan(t.Context(), "shop")
		if known, ok := errors.AsType[*app.StepError](err); !ok || !strings.HasSuffix(known.Failure.Message,
			"the role "+w.user+" at PROVISIONER_PROJECTS_DATABASE_URL needs CREATEDB and CREATEROLE") {
			t.Errorf("without %s: %v", right, err)
		}
		w.exec("alter role " + w.user + " " + right)
	}
}

func TestAnAddressThatIsNoneIsNotRepeated(t *testing.T) {
	for _, address := range []string{"", "postgres://u:canary@[::1", "mysql://u:canary@h/d", "postgres://u:canary@h:port/d", "host=h password=canary", "postgres://u:canary@h/d?sslmode=canary"} {
		if _, err := New(address, "i"); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAProjectGetsWhatItNeedsOfTheAddressAndNoMore(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://admin:canary@db.example/main?sslmode=require&pool_max_conns=3&connect_timeout=5": "postgres://p:s@db.example:5432/p?sslmode=require",
		"postgresql://admin:canary@[::1]:26257/main":                                                 "postgres://p:s@[::1]:26257/p",
		"postgres://admin:canary@/main?host=/run/pg&port=5433&sslmode=disable":                       "postgres://p:s@/p?host=%2Frun%2Fpg&port=5433&sslmode=disable",
	} {
		s, err := New(address, "i")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.urlOf("p", "s"); got != want {
			t.Errorf("of %s it is %s, want %s", address, got, want)
		}
	}
}

// There was no CockroachDB to try these on: what its grammar refuses is not among them.
func TestStatementsForCockroachDBHaveNothingThatItRefuses(t *testing.T) {
	d, err := dialectOf("CockroachDB CCL v25.2.1 (x86_64-pc-linux-gnu, built …)")
	if err != nil {
		t.Fatal(err)
	}
	statements := append([]string{d.createRole("p", "v", "m"), d.createDatabase("p"), d.dropDatabase("p"), "ALTER ROLE p" + d.login("v")}, d.rights("p")...)
	statements = append(append(statements, d.endSessions("p")...), rightsInside("p")...)
	for _, statement := range statements {
		for _, refused := range []string{"CONNECTION LIMIT", "TEMPORARY", "COMMENT ON ROLE", "WITH (FORCE)", "pg_terminate_backend", "template", ";"} {
			if strings.Contains(statement, refused) {
				t.Errorf("%s: it refuses %s", statement, refused)
			}
		}
	}
	if _, err := dialectOf("MySQL 8"); err == nil {
		t.Error("MySQL is one of them")
	}
}

// The example is the one of RFC 7677.
func TestAVerifierIsWhatTheServerWouldKeep(t *testing.T) {
	salt := []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81}
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if got := verifier("pencil", salt); got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
	if one, other := verifierOf("x"), verifierOf("x"); one == other {
		t.Error("two verifiers have one salt")
	}
}
