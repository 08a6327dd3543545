package gitea

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// populate makes what somebody may have of the names that a project would have, and returns
// the names of repositories that are there.
func (w *world) populate(f *Forge, random *rand.Rand, slug string) {
	w.t.Helper()
	organization := f.config.Organization
	one := func(n int) bool { return random.IntN(n) == 0 }
	if !one(4) {
		initialised := one(2)
		name := w.team(organization, slug, initialised)
		descriptions := []string{"", "of somebody", f.descriptionOf("another"), f.descriptionOf(slug) + " ", "rdev project " + slug + " of installation other"}
		description := descriptions[random.IntN(len(descriptions))]
		topics := [][]string{nil, {"rdev"}, {"go", "rdev"}, {f.topicOf("another"), "rdev"}}[random.IntN(4)]
		if one(3) { // it says that it is ours, and is not: it has a commit, or a topic of somebody
			description, topics = f.descriptionOf(slug), []string{"somebody"}
			if initialised {
				topics = nil
			}
		}
		_, _, err := w.all.EditRepo(organization, slug, sdk.EditRepoOption{Description: &description})
		w.must(err)
		_, err = w.all.SetRepoTopics(organization, slug, topics)
		w.must(err)
		w.furnish(f, random, name, slug)
	}
	if one(2) {
		w.person(f.userOf(slug))
		fullNames := []string{"", "somebody", f.fullNameOf("another"), f.fullNameOf(slug)}
		fullName := fullNames[random.IntN(len(fullNames))]
		_, err := w.all.AdminEditUser(f.userOf(slug), sdk.EditUserOption{LoginName: f.userOf(slug), FullName: &fullName})
		w.must(err)
	}
}

// furnish gives a repository what somebody may have given it.
func (w *world) furnish(f *Forge, random *rand.Rand, name, slug string) {
	w.t.Helper()
	owner, short, _ := strings.Cut(name, "/")
	for _, address := range []string{"http://127.0.0.1:1/other", "http://127.0.0.1:1/hooks/x"} {
		if random.IntN(2) == 0 {
			_, _, err := w.all.CreateRepoHook(owner, short, sdk.CreateHookOption{Type: sdk.HookTypeGitea, Config: map[string]string{"url": address, "content_type": "json"}, Events: []string{"push"}})
			w.must(err)
		}
	}
	for _, title := range []string{"of somebody", f.topicOf("another"), f.topicOf(slug) + "x"} {
		if random.IntN(2) == 0 {
			public, _, err := newKey("")
			w.must(err)
			_, _, err = w.all.CreateDeployKey(owner, short, sdk.CreateKeyOption{Title: title, Key: public, ReadOnly: random.IntN(2) == 0})
			w.must(err)
		}
	}
	if random.IntN(2) == 0 {
		user := fmt.Sprintf("%s-p%d", w.prefix, random.IntN(1e9))
		w.person(user)
		modes := []sdk.AccessMode{sdk.AccessModeRead, sdk.AccessModeWrite, sdk.AccessModeAdmin}
		_, err := w.all.AddCollaborator(owner, short, user, sdk.AddCollaboratorOption{Permission: &modes[random.IntN(3)]})
		w.must(err)
	}
}

// Names, by which what others have may be called, are filled with all kinds of things: none
// of them changes, and what is adopted is in the end as it was.
func TestWhatIsNotMarkedIsNeverChanged(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t)
	var member func(*Config)
	for round := range 12 {
		slug := fmt.Sprintf("shop-%d", round)
		change := []func(*Config){deadHook, func(c *Config) { c.Organization = fmt.Sprintf("%s-o%d", w.prefix, round) }}
		if round%3 == 0 {
			if member == nil {
				member = w.member()
			}
			change = append(change, member)
		}
		f := w.forge(change...)
		w.populate(f, random, slug)
		team := w.team(fmt.Sprintf("%s-t%d", w.prefix, round), "thing", random.IntN(2) == 0)
		w.furnish(f, random, team, slug)
		if round%3 == 0 && random.IntN(2) == 0 {
			w.must(w.join(w.prefix+"-member", strings.TrimSuffix(team, "/thing")))
		}
		repository, user := w.there(f.config.Organization+"/", "-"), w.there("-", f.userOf(slug))
		adopted := w.there(team, w.prefix)
		did := w.wander(f, random, slug, team)
		for _, adopt := range []string{"", team} {
			_ = f.Remove(t.Context(), slug, adopt) // of what is not its own it is an error
		}
		for what, now := range map[string][2]string{
			"there":   {repository, w.there(f.config.Organization+"/", "-")},
			"users":   {user, w.there("-", f.userOf(slug))},
			"adopted": {adopted, w.there(team, w.prefix)},
		} {
			if now[0] != now[1] {
				t.Fatalf("%s, after %s: there was\n%s\nand is\n%s", what, did, now[0], now[1])
			}
		}
	}
}

// wander makes some calls, and tells which.
func (w *world) wander(f *Forge, random *rand.Rand, slug, team string) (did []string) {
	known := map[string]app.Repository{}
	calls := map[string]func(context.Context, string) error{
		"plan": func(ctx context.Context, adopt string) error { _, err := f.Plan(ctx, slug, adopt); return err },
		"create": func(ctx context.Context, adopt string) error {
			r, err := f.Create(ctx, slug, adopt)
			if err == nil {
				known[adopt] = r
			}
			return err
		},
		"grant": func(ctx context.Context, adopt string) error {
			if _, ok := known[adopt]; !ok {
				return nil
			}
			_, err := f.Grant(ctx, slug, known[adopt])
			return err
		},
		"verify":  func(ctx context.Context, adopt string) error { _, err := f.Verify(ctx, slug, adopt); return err },
		"remove":  func(ctx context.Context, adopt string) error { return f.Remove(ctx, slug, adopt) },
		"release": func(ctx context.Context, _ string) error { return f.Release(ctx, slug, team) },
	}
	names := []string{"plan", "create", "create", "grant", "grant", "verify", "remove", "release"}
	for range 8 {
		name, adopt := names[random.IntN(len(names))], []string{"", team}[random.IntN(2)]
		did = append(did, fmt.Sprintf("%s %s: %v", name, adopt, calls[name](w.t.Context(), adopt)))
	}
	return did
}

func TestWhatIsAdoptedIsGivenBackAsItWas(t *testing.T) {
	w := newWorld(t)
	f := w.forge(deadHook)
	team := w.team(w.prefix+"-team", "Thing", true)
	before := w.there(team, "-")
	name, err := f.Plan(t.Context(), slug, team)
	if err != nil || name != team {
		t.Fatalf("%s, %v", name, err)
	}
	r := w.create(f, slug, strings.ToLower(team)) // Gitea tells no names apart by their case
	if r.Name != team || r.Branch != "trunk" {
		t.Errorf("it is %+v", r)
	}
	access := w.grant(f, slug, r)
	if output, err := w.git(access, "ls-remote", withUser(r.CloneURL, access)); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	made, _, err := w.all.GetRepo(w.prefix+"-team", "thing")
	w.must(err)
	if topics := made.Topics; len(topics) > 0 {
		t.Errorf("it has the topics %s", topics)
	}
	if differences, err := f.Verify(t.Context(), slug, team); err != nil || len(differences) > 0 {
		t.Errorf("%s, %v", differences, err)
	}
	w.must(f.Remove(t.Context(), slug, team))
	if after := w.there(team, "-"); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
	differences, err := f.Verify(t.Context(), slug, team)
	if text := strings.Join(differences, "; "); err != nil || len(differences) != 2 || !strings.Contains(text, "webhook") || !strings.Contains(text, "is missing") {
		t.Errorf("%s, %v", differences, err)
	}
}

func TestWhatCannotBeAdoptedSaysWhy(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	own := w.create(f, slug, "")
	archived, yes := w.team(w.prefix+"-team", "archived", true), true
	_, _, err := w.all.EditRepo(w.prefix+"-team", "archived", sdk.EditRepoOption{Archived: &yes})
	w.must(err)
	hidden, write := w.team(w.prefix+"-team", "hidden", true), sdk.AccessModeWrite
	member := w.forge(w.member())
	_, err = w.all.AddCollaborator(w.prefix+"-team", "archived", w.prefix+"-member", sdk.AddCollaboratorOption{Permission: &write})
	w.must(err)
	seen := w.team(w.prefix+"-team", "seen", true)
	_, err = w.all.AddCollaborator(w.prefix+"-team", "seen", w.prefix+"-member", sdk.AddCollaboratorOption{Permission: &write})
	w.must(err)
	for _, c := range []struct {
		f     *Forge
		adopt string
		class contract.FailureClass
		says  string
	}{
		{f, "thing", contract.ClassUser, "not the full name"},
		{f, "a/b/c", contract.ClassUser, "not the full name"},
		{f, "/b", contract.ClassUser, "not the full name"},
		{f, w.prefix + "-team/none", contract.ClassUser, "there is no repository"},
		{f, archived, contract.ClassUser, "is archived"},
		{f, own.Name, contract.ClassUser, "is a project's own"},
		{member, hidden, contract.ClassUser, "there is no repository"},
		{member, seen, contract.ClassAuth, "is no administrator of the repository"},
	} {
		_, err := c.f.Plan(t.Context(), "other", c.adopt)
		w.failure(err, c.class, c.says)
		_, err = c.f.Create(t.Context(), "other", c.adopt)
		w.failure(err, c.class, c.says)
	}
}

// People rename, archive, and edit: what is ours is known, and what is not as it should be is
// told.
func TestWhatPeopleChangeIsToldAndNotFought(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	r := w.create(f, slug, "")
	user := w.grant(f, slug, r).User
	organization := w.prefix + "-rdev"
	verify := func(want ...string) {
		t.Helper()
		differences, err := f.Verify(t.Context(), slug, "")
		if err != nil || len(differences) != len(want) {
			t.Errorf("%q, %v: want %q", differences, err, want)
			return
		}
		for i := range want {
			if !strings.Contains(differences[i], want[i]) {
				t.Errorf("%q: want %q", differences, want)
			}
		}
	}
	edit := func(name string, options sdk.EditRepoOption) {
		t.Helper()
		_, _, err := w.all.EditRepo(organization, name, options)
		w.must(err)
	}
	yes, no, description := true, false, "ours now"
	edit(slug, sdk.EditRepoOption{Description: &description})
	if again := w.create(f, slug, ""); again.ID != r.ID {
		t.Errorf("with another description it is %+v", again)
	}
	edit(slug, sdk.EditRepoOption{Archived: &yes})
	verify("is archived")
	_, err := f.Plan(t.Context(), slug, "")
	w.failure(err, contract.ClassUser, "unarchive it")
	edit(slug, sdk.EditRepoOption{Archived: &no})

	read := sdk.AccessModeRead
	_, err = w.all.AddCollaborator(organization, slug, user, sdk.AddCollaboratorOption{Permission: &read})
	w.must(err)
	verify("is not a collaborator of " + r.Name + " who writes")
	_, err = w.all.DeleteCollaborator(organization, slug, user)
	w.must(err)
	verify("is not a collaborator")
	_, err = w.all.AdminEditUser(user, sdk.EditUserOption{LoginName: user, ProhibitLogin: &yes, Restricted: &no})
	w.must(err)
	verify("may not log in", "is not a collaborator")
	fullName := "x"
	_, err = w.all.AdminEditUser(user, sdk.EditUserOption{LoginName: user, FullName: &fullName})
	w.must(err)
	verify("lacks its full name")
	_, err = f.Grant(t.Context(), slug, r)
	w.failure(err, contract.ClassUser, "a user "+user+" is there, and is not this installation's")
	_, err = w.all.AdminDeleteUser(user)
	w.must(err)
	verify("the user " + user + " is missing")

	// What was renamed is found by its old name, too.
	w.grant(f, slug, r)
	other := "shop-before"
	edit(slug, sdk.EditRepoOption{Name: &other})
	verify("has become " + organization + "/" + other)
	_, err = f.Create(t.Context(), slug, "")
	w.failure(err, contract.ClassUser, "give it its name back")
	w.failure(f.Remove(t.Context(), slug, ""), contract.ClassUser, "give it its name back")
	before := w.there(organization, "-")
	if !strings.Contains(before, other) {
		t.Errorf("there is %s", before)
	}
	// Without its topic it is nobody's, and the name is free.
	_, err = w.all.DeleteRepoTopic(organization, other, f.topicOf(slug))
	w.must(err)
	verify("is missing")
	if next := w.create(f, slug, ""); next.ID == r.ID {
		t.Errorf("it is the one before: %+v", next)
	}
	w.must(f.Remove(t.Context(), slug, ""))
	if topics, _, err := w.all.ListRepoTopics(organization, other, sdk.ListRepoTopicsOptions{ListOptions: sdk.ListOptions{PageSize: 50}}); err != nil || !slices.Equal(topics, []string{"rdev"}) {
		t.Errorf("it has the topics %s, %v", topics, err)
	}
}

// A redirect would make a read of what removes, and look like success.
func TestWhatIsRenamedMeanwhileIsNotTakenForRemoved(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	w.create(f, slug, "")
	late, other := w.again(f), "shop-now"
	late.client.Transport = meanwhile{late.client.Transport, http.MethodDelete, "/" + slug, func() {
		_, _, err := w.all.EditRepo(w.prefix+"-rdev", slug, sdk.EditRepoOption{Name: &other})
		w.must(err)
	}}
	w.failure(late.Remove(t.Context(), slug, ""), contract.ClassUser, "give back the name")
	if there := w.there(w.prefix+"-rdev/", "-"); !strings.Contains(there, other) {
		t.Errorf("there is %s", there)
	}
}

func TestWhatIsArchivedIsRemovedAndReleased(t *testing.T) {
	w := newWorld(t)
	yes := true
	for i, f := range []*Forge{w.forge(deadHook), w.forge(deadHook, w.member(), func(c *Config) { c.Organization = w.prefix + "-member-rdev" })} {
		for what, end := range map[string]func() error{
			"remove":  func() error { return f.Remove(t.Context(), slug, "") },
			"release": func() error { return f.Release(t.Context(), slug, "") },
		} {
			w.grant(f, slug, w.create(f, slug, ""))
			_, _, err := w.all.EditRepo(f.config.Organization, slug, sdk.EditRepoOption{Archived: &yes})
			w.must(err)
			if err := end(); err != nil {
				t.Fatalf("%s of %d: %v", what, i, err)
			}
			if left := w.left(f, slug); strings.Contains(left, "rdev.invalid") || strings.Contains(left, f.topicOf(slug)) || strings.Contains(left, "installation") {
				t.Errorf("%s of %d: left is %s", what, i, left)
			}
			_, _ = w.all.DeleteRepo(f.config.Organization, slug) // where it was released
		}
	}
}
