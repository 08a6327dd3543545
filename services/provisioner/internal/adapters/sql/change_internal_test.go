package sql

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func TestANewPasswordEndsTheSessionsWithTheOneBefore(t *testing.T) {
	w := newWorld(t)
	s := w.server("shop", "blog")
	before, other := w.create(s, "shop"), w.create(s, "blog")
	live, bystander := w.connect(before.URL), w.connect(other.URL)
	if _, err := live.Exec(t.Context(), "create table orders (id int)"); err != nil {
		t.Fatal(err)
	}
	said, password := &mortal{}, rand.Text()
	s.config.Tracer = said
	next, err := s.Rotate(t.Context(), "shop", password)
	s.config.Tracer = nil
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(said.said, "\n"), password) {
		t.Errorf("the password was said:\n%s", strings.Join(said.said, "\n"))
	}
	if err := live.Ping(t.Context()); err == nil {
		t.Error("a session with the password before goes on")
	}
	if err := bystander.Ping(t.Context()); err != nil {
		t.Errorf("one of another project: %v", err)
	}
	if err := s.try(t.Context(), before.URL); code(err) != "28P01" {
		t.Errorf("with the password before: %v", err)
	}
	var orders int
	if err := w.connect(next.URL).QueryRow(t.Context(), "select count(*) from orders").Scan(&orders); err != nil {
		t.Error(err)
	}
	if got := w.column(`select r.rolname::text from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
		where u.rolname = $1 and (to_jsonb(m) ->> 'set_option') is distinct from 'false'`, w.user); len(got) > 0 {
		t.Errorf("who makes databases is a member of %q", got)
	}
	if differences, err := s.Verify(t.Context(), "shop"); len(differences) > 0 || err != nil {
		t.Errorf("it differs: %q, %v", differences, err)
	}
}

// Whoever is killed where: another attempt completes it.
func TestAChangeThatIsKilledIsCompleted(t *testing.T) {
	w := newWorld(t)
	const slug = "shop"
	s := w.server(slug)
	killed := func(killAt int, do func() error) int { return w.killed(s, killAt, do) }
	made := w.create(s, slug)
	rotate := func() (err error) { made, err = s.Rotate(t.Context(), slug, rand.Text()); return err }
	rotating := killed(0, rotate)
	if rotating < 20 {
		t.Errorf("there are %d boundaries: this test kills too little", rotating)
	}
	for killAt := 1; killAt <= rotating; killAt++ {
		live := w.connect(made.URL)
		killed(killAt, rotate)
		if err := rotate(); err != nil {
			t.Fatalf("killed at %d: %v", killAt, err)
		}
		if err := live.Ping(t.Context()); err == nil {
			t.Errorf("killed at %d: a session with the password before goes on", killAt)
		}
	}
	if differences, err := s.Verify(t.Context(), slug); len(differences) > 0 || err != nil {
		t.Errorf("it differs: %q, %v", differences, err)
	}
	if err := s.Drop(t.Context(), slug); err != nil {
		t.Fatal(err)
	}
	release := func() error { return s.Release(t.Context(), slug) }
	w.create(s, slug)
	releasing := killed(0, release)
	remove := func() { w.exec("drop database "+s.nameOf(slug)+" with (force)", "drop role "+s.nameOf(slug)) }
	for killAt := 1; killAt <= releasing; killAt++ {
		remove()
		made = w.create(s, slug)
		killed(killAt, release)
		if err := release(); err != nil {
			t.Fatalf("releasing, killed at %d: %v", killAt, err)
		}
		kept := w.there(made.Name)
		_, planned := s.Plan(t.Context(), slug)
		for what, err := range map[string]error{"plan": planned, "drop": s.Drop(t.Context(), slug)} {
			if known, ok := errors.AsType[*app.StepError](err); !ok || known.Failure.Class != contract.ClassUser {
				t.Errorf("released, %s: %v", what, err)
			}
		}
		if now := w.there(made.Name); now != kept || strings.Count(now, "kept, was rdev ") != 2 {
			t.Errorf("there was\n%s\nand is\n%s", kept, now)
		}
		if err := w.connect(made.URL).Ping(t.Context()); err != nil {
			t.Errorf("its role does not get in: %v", err)
		}
	}
	remove()
}

func TestVerifyFindsWhatDiffersAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.server("shop")
	said := &mortal{}
	verify := func() []string {
		t.Helper()
		s.config.Tracer = said
		differences, err := s.Verify(t.Context(), "shop")
		s.config.Tracer = nil
		if err != nil {
			t.Fatal(err)
		}
		return differences
	}
	name := s.nameOf("shop")
	if got := strings.Join(verify(), "; "); got != "the role "+name+" is missing; the database "+name+" is missing" {
		t.Errorf("of nothing it says %q", got)
	}
	w.create(s, "shop")
	if got := verify(); len(got) > 0 {
		t.Errorf("of what was just made it says %q", got)
	}
	inside := w.connect(elsewhere(t, w.all.Config().ConnString(), name))
	for _, c := range []struct {
		change, back string
		want         string
	}{
		{"comment on role " + name + " is 'x'", "comment on role " + name + " is " + literal(s.markOf("shop")), `the role ` + name + ` has no mark: its comment is "x"`},
		{"comment on database " + name + " is null", "comment on database " + name + " is " + literal(s.markOf("shop")), `the database ` + name + ` has no mark: its comment is ""`},
		{"alter role " + name + " nologin", "alter role " + name + " login", "the role " + name + " may not log in"},
		{"alter role " + name + " createdb", "alter role " + name + " nocreatedb", "the role " + name + " may make databases or roles"},
		{"alter role " + name + " superuser", "alter role " + name + " nosuperuser", "the role " + name + " may make databases or roles"},
		{"alter role " + name + " connection limit -1", "alter role " + name + " connection limit 20", "the role " + name + " may have -1 connections, and is to have 20"},
		{"alter database " + name + " owner to " + name, "alter database " + name + " owner to " + w.user + "; grant all on database " + name + " to " + name, "the database " + name + " belongs to " + name + ", and not to " + w.user},
		{"grant connect, temporary on database " + name + " to public", "revoke all on database " + name + " from public", "everybody may CONNECT, TEMPORARY in the database " + name},
		{"grant connect on database " + name + " to pg_monitor", "revoke all on database " + name + " from pg_monitor", "the role pg_monitor may CONNECT in the database " + name},
		{"revoke connect on database " + name + " from " + name, "grant connect on database " + name + " to " + name, "the role " + name + " lacks CONNECT on its database"},
		{"revoke all on schema public from " + name, "grant all on schema public to " + name, "the role " + name + " lacks CREATE on its schema public; the role " + name + " lacks USAGE on its schema public"},
		{"grant create on schema public to public", "revoke create on schema public from public", "everybody may CREATE in the schema public of " + name},
		{"drop schema public", "create schema public authorization pg_database_owner; grant all on schema public to " + name, "the role " + name + " lacks CREATE on its schema public; the role " + name + " lacks USAGE on its schema public"},
	} {
		run := func(statement string) {
			t.Helper()
			if _, err := inside.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		run(c.change)
		before := w.there(name)
		if got := strings.Join(verify(), "; "); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: it says %q, want %q", c.change, got, c.want)
		}
		if after := w.there(name); after != before {
			t.Errorf("%s: there was\n%s\nand is\n%s", c.change, before, after)
		}
		run(c.back)
	}
	if _, err := s.Rotate(t.Context(), "shop", rand.Text()); err != nil {
		t.Fatal(err)
	}
	if got := verify(); len(got) > 0 {
		t.Errorf("of what was made again it says %q", got)
	}
	if err := inside.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	w.exec("drop database " + name)
	if got := strings.Join(verify(), "; "); got != "the database "+name+" is missing" {
		t.Errorf("of a role alone it says %q", got)
	}
	for _, statement := range said.said {
		if !strings.HasPrefix(statement, "select ") {
			t.Errorf("it says %s", statement)
		}
	}
	if len(said.said) < 50 {
		t.Errorf("it says %d statements: this test sees too little", len(said.said))
	}
}

// There was no CockroachDB to try these on.
func TestRightsAreReadFromCockroachDBInItsWords(t *testing.T) {
	d := cockroachDB
	for query, want := range map[string]string{d.grants(`a"b`): `[SHOW GRANTS ON DATABASE "a""b"]`, d.grantsInside(): "[SHOW GRANTS ON SCHEMA public]"} {
		if !strings.HasPrefix(query, "select ") || !strings.Contains(query, want) || strings.Contains(query, "aclexplode") {
			t.Errorf("it says %s", query)
		}
	}
	if len(d.leave("p")) > 0 {
		t.Error("there is nothing to leave")
	}
	if got := (privileges{"ALL"}).lacks("CREATE", "USAGE"); len(got) > 0 {
		t.Errorf("who has all lacks %q", got)
	}
}
