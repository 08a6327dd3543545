package redis

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Whoever is killed where: another attempt completes it, or removes all, also once the
// server has restarted.
func TestWhatAKilledAttemptLeavesIsCompletedAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const slug = "shop"
	s := w.server()
	name, err := s.nameOf(slug)
	if err != nil {
		t.Fatal(err)
	}
	killed := func(killAt int, do func() error) (boundaries int) {
		t.Helper()
		m := &mortal{killAt: killAt}
		s.hook = m
		err := do()
		s.hook = nil
		if killAt == 0 && err != nil {
			t.Fatal(err)
		}
		return m.passed
	}
	password := rand.Text()
	create := func() error { _, err := s.Create(t.Context(), slug, rand.Text()); return err }
	drop := func() error { return s.Drop(t.Context(), slug) }
	fill := func() {
		pipe := w.all.Pipeline()
		for i := range 2500 {
			pipe.Set(t.Context(), fmt.Sprintf("%s:%d", name, i), i, 0)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(killAt int, when string) {
		t.Helper()
		if got := w.there(); got != "" {
			t.Fatalf("killed at %d, %s: left is\n%.500s", killAt, when, got)
		}
	}
	creating := killed(0, create)
	fill()
	dropping := killed(0, drop)
	gone(0, "dropped")
	if creating < 18 || dropping < 20 {
		t.Errorf("there are %d and %d boundaries: this test kills too little", creating, dropping)
	}
	rotating := killed(0, func() error { return errors.Join(create(), create()) }) - creating
	for killAt := 1; killAt <= rotating; killAt++ {
		made := w.create(s, slug)
		live := w.client(made.URL).Conn()
		if err := live.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		again := func() error { _, err := s.Create(t.Context(), slug, password); return err }
		killed(killAt, again)
		if err := again(); err != nil {
			t.Fatalf("rotating, killed at %d: %v", killAt, err)
		}
		if err := live.Ping(t.Context()).Err(); err == nil {
			t.Fatalf("rotating, killed at %d: a connection with the password before goes on", killAt)
		}
	}
	if err := drop(); err != nil {
		t.Fatal(err)
	}
	for killAt := 1; killAt <= creating; killAt++ {
		killed(killAt, create)
		if _, err := s.Plan(t.Context(), slug); err != nil {
			t.Fatalf("killed at %d: it does not know its own: %v\n%s", killAt, err, w.there())
		}
		if killAt%3 == 0 {
			w.Kill()
			w.Start()
		}
		if killAt%2 == 0 {
			if made := w.create(s, slug); w.client(made.URL).Ping(t.Context()).Err() != nil || !w.saved(name) {
				t.Errorf("killed at %d: it does not work, or is forgotten", killAt)
			}
		}
		if err := drop(); err != nil {
			t.Fatalf("killed at %d: %v", killAt, err)
		}
		gone(killAt, "created, dropped")
	}
	for killAt := 1; killAt <= dropping; killAt++ {
		w.create(s, slug)
		fill()
		killed(killAt, drop)
		if killAt%2 == 0 {
			w.create(s, slug)
		}
		for again := 1; killAt%5 == 0 && again <= dropping; again++ {
			killed(again, drop)
		}
		if err := drop(); err != nil {
			t.Fatalf("dropping, killed at %d: %v", killAt, err)
		}
		gone(killAt, "dropped")
		if killAt%4 == 0 && w.saved(name) {
			t.Errorf("dropping, killed at %d: it comes back with a restart", killAt)
		}
	}
}

// A server is filled with all kinds of users and keys of others: none of them changes.
func TestWhatIsNotMarkedIsNeverChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for round := range 40 {
		slug, s := "shop", w.server()
		name, err := s.nameOf(slug)
		if err != nil {
			t.Fatal(err)
		}
		near := []string{name[:len(name)-1], name + "s", name + "-2", "x" + name, strings.ToUpper(name), strings.Replace(name, "rdev-", "rdev-0", 1), "shop", "*", name + "*"}
		one := func() string { return near[random.IntN(len(near))] }
		for range random.IntN(6) {
			w.do("ACL", "SETUSER", one(), []string{"on", "off"}[random.IntN(2)], ">"+rand.Text(), "~"+one()+":*", "&*", []string{"+@all", "+get"}[random.IntN(2)])
		}
		for range random.IntN(8) {
			key := one()
			switch random.IntN(3) {
			case 0:
				w.do("SET", key, rand.Text())
			case 1:
				w.do("SET", one()+":"+rand.Text(), rand.Text())
			default:
				w.do("RPUSH", key+":list", 1, 2, 3)
			}
		}
		unowned := round%4 == 3
		if unowned { // its own prefix, of somebody else's
			w.do("SET", name+":"+rand.Text(), "x")
		}
		before := w.there()
		_, planned := s.Plan(t.Context(), slug)
		if !unowned {
			if planned != nil {
				t.Fatalf("plan: %v where there is\n%s", planned, before)
			}
			w.create(s, slug)
			w.do("SET", name+":x", "x")
		}
		dropped := s.Drop(t.Context(), slug)
		if after := w.there(); after != before {
			t.Fatalf("there was\n%s\nand is\n%s", before, after)
		}
		for what, err := range map[string]error{"plan": planned, "drop": dropped} {
			known, ok := errors.AsType[*app.StepError](err)
			if ok != unowned || !unowned && err != nil || ok && (known.Failure.Class != contract.ClassUser || !strings.HasPrefix(known.Failure.Message, "keys that begin with "+name+": are there")) {
				t.Errorf("%s where there is\n%s\n: %v", what, before, err)
			}
		}
		w.do("FLUSHALL")
		for _, user := range near {
			w.do("ACL", "DELUSER", user)
		}
	}
}

// A program of the project's does not give up, and connects again and again.
func TestAProgramDoesNotGetInBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	before := w.create(s, "shop")
	program := w.client(before.URL)
	n := 0
	write := func(string) {
		n++
		program.Set(t.Context(), fmt.Sprintf("%s%d", before.Prefix, n), n, 0)
	}
	s.hook = meddler{&mortal{}, write}
	w.create(s, "shop")
	if err := program.Ping(t.Context()).Err(); !refused(err) {
		t.Errorf("with the password before: %v", err)
	}
	before = w.create(s, "shop")
	program = w.client(before.URL)
	if err := s.Drop(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if left := w.there(); left != "" || n < 20 {
		t.Errorf("after %d writes left is\n%s", n, left)
	}
}
