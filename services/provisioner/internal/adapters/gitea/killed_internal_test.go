package gitea

import (
	"context"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// deadHook is a webhook to where nobody listens.
func deadHook(c *Config) { c.Hook = &Hook{URL: "http://127.0.0.1:1/hooks", Secret: "s"} }

// life is a project's repository, and what is done with it.
type life struct {
	*world

	f     *Forge
	adopt string
}

const slug = "shop"

func (l life) create(ctx context.Context, f *Forge) error {
	_, err := f.Create(ctx, slug, l.adopt)
	return err
}

// grant gives access to what Create finds: only that is killed which comes after it.
func (l life) grant(r app.Repository) func(context.Context, *Forge) error {
	return func(ctx context.Context, f *Forge) error { _, err := f.Grant(ctx, slug, r); return err }
}

func (l life) remove(ctx context.Context, f *Forge) error  { return f.Remove(ctx, slug, l.adopt) }
func (l life) release(ctx context.Context, f *Forge) error { return f.Release(ctx, slug, l.adopt) }

// whole makes it, tries it, and fails the test where something is amiss.
func (l life) whole(killAt int) app.Repository {
	l.t.Helper()
	r := l.world.create(l.f, slug, l.adopt)
	access := l.world.grant(l.f, slug, r)
	address := access.SSHURL
	if access.Token != "" {
		address = withUser(r.CloneURL, access)
	}
	if output, err := l.git(access, "ls-remote", address); err != nil {
		l.t.Errorf("killed at %d: %v: %s", killAt, err, output)
	}
	if differences, err := l.f.Verify(l.t.Context(), slug, l.adopt); err != nil || len(differences) > 0 {
		l.t.Errorf("killed at %d: %s, %v", killAt, differences, err)
	}
	return r
}

// topics fails the test where an own repository does not have both.
func (l life) topics(killAt int) {
	l.t.Helper()
	f, err := l.f.connect(l.t.Context())
	l.must(err)
	if there, err := f.own(slug); l.adopt == "" && (err != nil || !slices.Equal(there.topics, []string{"rdev", l.f.topicOf(slug)})) {
		l.t.Errorf("killed at %d: it has the topics %s, %v", killAt, there.topics, err)
	}
}

// gone removes it, and fails the test where something is left.
func (l life) gone(killAt int, before string) {
	l.t.Helper()
	if err := l.f.Remove(l.t.Context(), slug, l.adopt); err != nil {
		l.t.Fatalf("killed at %d: %v", killAt, err)
	}
	if left := l.left(l.f, slug); left != "" {
		l.t.Fatalf("killed at %d: left is %s", killAt, left)
	}
	if l.adopt != "" && l.there(l.adopt, "-") != before {
		l.t.Fatalf("killed at %d: there was\n%s\nand is\n%s", killAt, before, l.there(l.adopt, "-"))
	}
}

// Whoever is killed where: another attempt completes it, or removes all.
func TestWhatAKilledAttemptLeavesIsCompletedAndRemoved(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ member, adopt bool }{
		"an administrator": {}, "a member": {member: true}, "an administrator who adopts": {adopt: true}, "a member who adopts": {true, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			l := life{world: w}
			token := w.administrator
			if c.member {
				token = w.member
			}
			l.f = w.forge(deadHook, token())
			var before string
			if c.adopt {
				l.adopt = w.team(w.prefix+"-team", "thing", true)
				if c.member {
					w.must(w.join(w.prefix+"-member", w.prefix+"-team"))
				}
				before = w.there(l.adopt, "-")
			}
			creating := w.killed(l.f, 0, l.create)
			r := l.whole(0)
			granting := w.killed(l.f, 0, l.grant(r))
			removing := w.killed(l.f, 0, l.remove)
			l.gone(0, before)
			if creating < 10 || granting < 10 || removing < 10 {
				t.Errorf("there are %d, %d and %d boundaries: this test kills too little", creating, granting, removing)
			}
			// What is there before a call is what is there after the one before it: one of the
			// four is killed at both.
			step := 2
			if what == "an administrator" {
				step = 1
			}
			for killAt := step; killAt <= creating; killAt += step {
				if !c.adopt {
					_, err := w.all.DeleteOrg(w.prefix + "-rdev") // it is to make that, too
					w.must(err)
				}
				w.killed(l.f, killAt, l.create)
				if _, err := l.f.Plan(t.Context(), slug, l.adopt); err != nil {
					t.Fatalf("killed at %d: it does not know its own: %v", killAt, err)
				}
				if killAt%3 != 1 {
					l.whole(killAt)
					l.topics(killAt)
				} else if l.adopt == "" && w.left(l.f, slug) == "" {
					l.world.create(l.f, slug, "") // so that there is an organization
				}
				l.gone(killAt, before)
			}
			for killAt := step; killAt <= granting; killAt += step {
				w.killed(l.f, killAt, l.grant(l.world.create(l.f, slug, l.adopt)))
				if killAt%3 != 1 {
					l.whole(killAt)
				}
				l.gone(killAt, before)
			}
			for killAt := step; killAt <= removing; killAt += step {
				l.world.grant(l.f, slug, l.world.create(l.f, slug, l.adopt))
				w.killed(l.f, killAt, l.remove)
				if killAt%3 == 0 {
					l.whole(killAt)
				}
				l.gone(killAt, before)
			}
		})
	}
}

// What is let go is somebody else's, wherever that was cut off.
func TestAReleaseThatIsKilledIsCompleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := life{world: w, f: w.forge(deadHook)}
	for killAt, releasing := 0, 1; killAt <= releasing; killAt++ {
		l.whole(killAt)
		passed := w.killed(l.f, killAt, l.release)
		if killAt == 0 {
			releasing = passed
		}
		if killAt%3 == 1 { // it has changed its mind
			if _, err := l.f.Plan(t.Context(), slug, ""); err == nil {
				l.whole(killAt)
			}
		}
		for range 2 {
			if err := l.f.Release(t.Context(), slug, ""); err != nil {
				t.Fatalf("killed at %d: %v", killAt, err)
			}
		}
		left := w.left(l.f, slug)
		for _, ours := range []string{"installation", "127.0.0.1:1/", `"rdev`, "rdev.invalid"} {
			if !strings.Contains(left, slug) || strings.Contains(left, ours) {
				t.Fatalf("killed at %d: left is %s", killAt, left)
			}
		}
		name, err := l.f.Plan(t.Context(), slug, "")
		w.failure(err, contract.ClassUser, name+" is there, and is not this installation's")
		w.failure(l.f.Remove(t.Context(), slug, ""), contract.ClassUser, "have the project adopt it")
		if killAt%3 == 0 {
			adopted := life{world: w, f: l.f, adopt: name}
			adopted.whole(killAt)
			w.must(l.f.Release(t.Context(), slug, name))
			if again := w.left(l.f, slug); again != left {
				t.Errorf("killed at %d: there was\n%s\nand is\n%s", killAt, left, again)
			}
		}
		_, err = w.all.DeleteRepo(w.prefix+"-rdev", slug)
		w.must(err)
	}
}

// An answer that is lost, and the call made again, is no second commit.
func TestACommitIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.forge()
	r := w.create(f, slug, "")
	parent := ""
	for killAt, committing := 0, 1; killAt <= committing; killAt++ {
		c := app.Commit{Operation: "op-" + strings.Repeat("i", killAt), Message: "More", Parent: parent, Files: map[string]app.CommitFile{"a/b": {Data: []byte{byte(killAt)}}}}
		passed := w.killed(f, killAt, func(ctx context.Context, f *Forge) error { _, err := f.Commit(ctx, r, c); return err })
		if killAt == 0 {
			committing = passed
		}
		made, err := w.again(f).Commit(t.Context(), r, c)
		if err != nil {
			t.Fatalf("killed at %d: %v", killAt, err)
		}
		if found, err := f.Committed(t.Context(), r, c.Operation); found != made || err != nil {
			t.Errorf("killed at %d: it is %q, %v: want %s", killAt, found, err, made)
		}
		parent = made
		commits, _, err := w.all.ListRepoCommits(w.prefix+"-rdev", slug, sdk.ListCommitOptions{ListOptions: sdk.ListOptions{PageSize: 50}})
		if err != nil || len(commits) != killAt+1 || commits[0].SHA != made {
			t.Fatalf("killed at %d: there are %d commits, %v", killAt, len(commits), err)
		}
	}
	if found, err := f.Committed(t.Context(), r, "op"); found != "" || err != nil {
		t.Errorf("of another operation is %q, %v", found, err)
	}
}
