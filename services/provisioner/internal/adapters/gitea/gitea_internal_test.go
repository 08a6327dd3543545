package gitea

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func TestARepositoryIsMadeUsedAndRemoved(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	name, err := f.Plan(t.Context(), "my-shop", "")
	if err != nil || name != w.prefix+"-rdev/my-shop" || w.left(f, "my-shop") != "" {
		t.Fatalf("it will be %s (%v), and there is %s", name, err, w.left(f, "my-shop"))
	}
	r := w.create(f, "my-shop", "")
	if r.Name != name || r.Branch != "main" || !strings.HasSuffix(r.CloneURL, name+".git") || r.WebURL != w.server.URL+"/"+name || r.ID == "" {
		t.Errorf("it is %+v", r)
	}
	if again := w.create(f, "my-shop", ""); again != r {
		t.Errorf("once more it is %+v", again)
	}
	organization, _, err := w.all.GetOrg(w.prefix + "-rdev")
	if err != nil || organization.Visibility != "private" {
		t.Errorf("its organization is %+v, %v", organization, err)
	}
	made, _, err := w.all.GetRepo(w.prefix+"-rdev", "my-shop")
	if err != nil || !made.Private || !made.Empty {
		t.Errorf("there is %+v, %v", made, err)
	}
	if head, err := f.Head(t.Context(), r); head != "" || err != nil {
		t.Errorf("its head is %q, %v", head, err)
	}

	files := map[string]app.CommitFile{"README.md": {Data: []byte("one")}, ".ci/run": {Data: []byte{0, 1, 255}, Executable: true}}
	first, err := f.Commit(t.Context(), r, app.Commit{Operation: "op-1", Message: "Begin\n", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	if head, err := f.Head(t.Context(), r); head != first || err != nil {
		t.Errorf("its head is %q, %v: want %s", head, err, first)
	}
	data, ok, err := f.Read(t.Context(), r, first, ".ci/run")
	if !ok || err != nil || !bytes.Equal(data, []byte{0, 1, 255}) {
		t.Errorf("in a file is %q, %t, %v", data, ok, err)
	}

	access := w.grant(f, "my-shop", r)
	if err := w.clone(access, r); err != nil {
		t.Error(err)
	}
	if differences, err := f.Verify(t.Context(), "my-shop", ""); err != nil || len(differences) > 0 {
		t.Errorf("%s, %v", differences, err)
	}
	for range 2 {
		if err := f.Remove(t.Context(), "my-shop", ""); err != nil {
			t.Fatal(err)
		}
		if left := w.left(f, "my-shop"); left != "" {
			t.Errorf("left is %s", left)
		}
	}
	if _, _, err := w.all.GetOrg(w.prefix + "-rdev"); err != nil {
		t.Errorf("its organization: %v", err)
	}
	if _, err := f.Head(t.Context(), r); err == nil {
		t.Error("what is gone has a head")
	}
	if err := w.clone(access, r); err == nil {
		t.Error("what is gone can be cloned")
	}
}

func TestATokenIsGoodForOneRepositoryAndUntilTheNext(t *testing.T) {
	w := newWorld(t)
	f := w.forge(w.administrator())
	shop, blog := w.create(f, "shop", ""), w.create(f, "blog", "")
	public := w.prefix + "-public" // to whoever is logged in
	if _, _, err := w.all.CreateOrg(sdk.CreateOrgOption{Name: public, Visibility: sdk.VisibleTypeLimited}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.all.CreateOrgRepo(public, sdk.CreateRepoOption{Name: "open", AutoInit: true, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	first := w.grant(f, "shop", shop)
	if err := w.clone(first, shop); err != nil {
		t.Fatal(err)
	}
	next := w.grant(f, "shop", shop)
	if err := w.clone(next, shop); err != nil {
		t.Error(err)
	}
	if err := w.clone(first, shop); err == nil {
		t.Error("the token before is still good")
	}
	for what, other := range map[string]string{"another project's": blog.CloneURL, "a public one": w.server.URL + "/" + public + "/open.git"} {
		if output, err := w.git(app.Access{}, "ls-remote", withUser(other, next)); err == nil {
			t.Errorf("it gets into %s: %s", what, output)
		}
	}
	as, err := sdk.NewClient(w.server.URL, sdk.SetToken(next.Token), sdk.SetGiteaVersion(""))
	if err != nil {
		t.Fatal(err)
	}
	owner := w.prefix + "-rdev"
	for what, do := range map[string]func() (*sdk.Response, error){
		"remove it":         func() (*sdk.Response, error) { return as.DeleteRepo(owner, "shop") },
		"take its mark off": func() (*sdk.Response, error) { return as.DeleteRepoTopic(owner, "shop", f.topicOf("shop")) },
		"remove another":    func() (*sdk.Response, error) { return as.DeleteRepo(owner, "blog") },
		"make a repository": func() (*sdk.Response, error) {
			_, r, err := as.CreateRepo(sdk.CreateRepoOption{Name: "x"})
			return r, err
		},
		"make one beside it": func() (*sdk.Response, error) {
			_, r, err := as.CreateOrgRepo(owner, sdk.CreateRepoOption{Name: "x"})
			return r, err
		},
		"see users":        func() (*sdk.Response, error) { _, r, err := as.GetUserInfo("rdev-admin"); return r, err },
		"see a public one": func() (*sdk.Response, error) { _, r, err := as.GetRepo(public, "open"); return r, err },
		"make an organization": func() (*sdk.Response, error) {
			_, r, err := as.CreateOrg(sdk.CreateOrgOption{Name: w.prefix + "-x"})
			return r, err
		},
		"list the webhooks": func() (*sdk.Response, error) {
			_, r, err := as.ListRepoHooks(owner, "shop", sdk.ListHooksOptions{})
			return r, err
		},
		"let others in": func() (*sdk.Response, error) {
			return as.AddCollaborator(owner, "shop", "rdev-admin", sdk.AddCollaboratorOption{})
		},
		"make a deploy key": func() (*sdk.Response, error) {
			_, r, err := as.CreateDeployKey(owner, "shop", sdk.CreateKeyOption{Title: "x", Key: "x"})
			return r, err
		},
		"give itself a key": func() (*sdk.Response, error) {
			_, r, err := as.CreatePublicKey(sdk.CreateKeyOption{Title: "x", Key: "x"})
			return r, err
		},
		"make another token": func() (*sdk.Response, error) {
			both, err := sdk.NewClient(w.server.URL, sdk.SetBasicAuth(next.User, next.Token), sdk.SetGiteaVersion(""))
			if err != nil {
				return nil, err
			}
			_, r, err := both.CreateAccessToken(sdk.CreateAccessTokenOption{Name: "x", Scopes: []sdk.AccessTokenScope{"all"}})
			return r, err
		},
	} {
		if response, err := do(); err == nil || !slices.Contains([]int{401, 403, 404}, status(response)) {
			t.Errorf("it may %s: %d, %v", what, status(response), err)
		}
	}
	// What it may do beside that is no trouble when the project goes.
	if _, _, err := as.CreateFork(owner, "shop", sdk.CreateForkOption{}); err != nil {
		t.Error(err)
	}
	given := w.team(w.prefix+"-team", "given", true)
	if _, _, err := w.all.TransferRepo(w.prefix+"-team", "given", sdk.TransferRepoOption{NewOwner: next.User}); err != nil {
		t.Fatal(err)
	}
	w.failure(f.Remove(t.Context(), "shop", ""), contract.ClassUser, "give what it owns to somebody else")
	if _, _, err := w.all.TransferRepo(next.User, "given", sdk.TransferRepoOption{NewOwner: w.prefix + "-team"}); err != nil {
		t.Fatal(err)
	}
	w.must(w.join(next.User, w.prefix+"-team"))
	w.must(f.Remove(t.Context(), "shop", ""))
	if left := w.left(f, "shop"); left != "" || !strings.Contains(w.there(given, "-"), given) {
		t.Errorf("left is %s", left)
	}
}

// A token that makes no users: whoever has the key gets in.
func TestWhoMakesNoUsersMakesDeployKeys(t *testing.T) {
	w := newWorld(t)
	f := w.forge(w.member())
	shop, blog := w.create(f, "shop", ""), w.create(f, "blog", "")
	first := w.grant(f, "shop", shop)
	if first.Token != "" || first.User != "" || !strings.HasPrefix(first.Key, "-----BEGIN OPENSSH PRIVATE KEY-----\n") {
		t.Errorf("it is of the user %q, to %s", first.User, first.SSHURL)
	}
	if err := w.clone(first, shop); err != nil {
		t.Fatal(err)
	}
	next := w.grant(f, "shop", shop)
	if err := w.clone(next, shop); err != nil {
		t.Error(err)
	}
	if err := w.clone(first, shop); err == nil {
		t.Error("the key before is still good")
	}
	next.SSHURL = w.grant(f, "blog", blog).SSHURL
	if err := w.clone(next, blog); err == nil {
		t.Error("it gets into another project's")
	}
	if differences, err := f.Verify(t.Context(), "shop", ""); err != nil || len(differences) > 0 {
		t.Errorf("%s, %v", differences, err)
	}
	keys, _, err := w.all.ListDeployKeys(w.prefix+"-rdev", "shop", sdk.ListDeployKeysOptions{})
	if err != nil || len(keys) != 1 || keys[0].ReadOnly {
		t.Fatalf("there are %d keys, %v", len(keys), err)
	}
	if _, err := w.all.DeleteDeployKey(w.prefix+"-rdev", "shop", keys[0].ID); err != nil {
		t.Fatal(err)
	}
	if differences, err := f.Verify(t.Context(), "shop", ""); err != nil || len(differences) != 1 || !strings.Contains(differences[0], "no deploy key") {
		t.Errorf("%s, %v", differences, err)
	}
	if err := f.Remove(t.Context(), "shop", ""); err != nil || w.left(f, "shop") != "" {
		t.Errorf("%v, and left is %s", err, w.left(f, "shop"))
	}
}

// The token was an administrator's once, and is no more, or the other way round.
func TestAnotherKindOfTokenTakesBackWhatTheOneBeforeGave(t *testing.T) {
	w := newWorld(t)
	member := w.forge(w.member())
	r := w.create(member, "shop", "")
	administrator := w.forge()
	user, key := w.grant(administrator, "shop", r), w.grant(member, "shop", r)
	if err := w.clone(key, r); err != nil {
		t.Error(err)
	}
	if err := w.clone(user, r); err == nil {
		t.Error("the user is still in")
	}
	user = w.grant(administrator, "shop", r)
	if err := w.clone(user, r); err != nil {
		t.Error(err)
	}
	if err := w.clone(key, r); err == nil {
		t.Error("the key is still good")
	}
	w.failure(member.Remove(t.Context(), "shop", ""), contract.ClassAuth, "the user "+user.User+" is left")
	if err := administrator.Remove(t.Context(), "shop", ""); err != nil || w.left(administrator, "shop") != "" {
		t.Errorf("%v, and left is %s", err, w.left(administrator, "shop"))
	}
}

func TestTheWebhookTellsOfAPush(t *testing.T) {
	w := newWorld(t)
	type delivery struct{ event, signature, body string }
	deliveries := make(chan delivery, 10)
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		deliveries <- delivery{r.Header.Get("X-Gitea-Event"), r.Header.Get("X-Gitea-Signature"), string(body)}
	}))
	t.Cleanup(listener.Close)
	f := w.forge(func(c *Config) { c.Hook = &Hook{URL: listener.URL + "/hooks", Secret: "before"} })
	w.create(f, "shop", "")
	f.config.Hook.Secret = "now"
	r := w.create(f, "shop", "")
	w.grant(f, "shop", r)
	if differences, err := f.Verify(t.Context(), "shop", ""); err != nil || len(differences) > 0 {
		t.Errorf("%s, %v", differences, err)
	}
	if _, err := f.Commit(t.Context(), r, app.Commit{Operation: "op", Message: "m", Files: map[string]app.CommitFile{"a": {}}}); err != nil {
		t.Fatal(err)
	}
	for seen := false; !seen; {
		select {
		case d := <-deliveries:
			mac := hmac.New(sha256.New, []byte("now"))
			mac.Write([]byte(d.body))
			if d.signature != hex.EncodeToString(mac.Sum(nil)) {
				t.Errorf("a %s has the signature %s", d.event, d.signature)
			}
			seen = d.event == "push" && strings.Contains(d.body, r.Name)
		case <-time.After(testkit.Patience):
			t.Fatal("nothing is told of the push")
		}
	}
	hooks, _, err := w.all.ListRepoHooks(w.prefix+"-rdev", "shop", sdk.ListHooksOptions{})
	if err != nil || len(hooks) != 1 {
		t.Fatalf("there are %d webhooks, %v", len(hooks), err)
	}
	if _, err := w.all.DeleteRepoHook(w.prefix+"-rdev", "shop", hooks[0].ID); err != nil {
		t.Fatal(err)
	}
	if differences, err := f.Verify(t.Context(), "shop", ""); err != nil || len(differences) != 1 || !strings.Contains(differences[0], "no webhook") {
		t.Errorf("%s, %v", differences, err)
	}
}

func TestNamesNeverCollide(t *testing.T) {
	one, other := &Forge{config: Config{Installation: "one"}}, &Forge{config: Config{Installation: "other"}}
	valid := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, f := range []*Forge{one, other} {
		for _, slug := range []string{"a", "a-b", "a--b", "1", strings.Repeat("a", 40), strings.Repeat("a", 39) + "b", "a" + strings.Repeat("-", 38) + "b", strings.Repeat("a", 21) + "-b"} {
			for _, name := range []string{f.userOf(slug), f.topicOf(slug)} {
				if !valid.MatchString(name) || len(name) > 40 || seen[name] {
					t.Errorf("%s is called %q", slug, name)
				}
				seen[name] = true
			}
			if topic := f.topicOf(slug); len(topic) > 35 || !marks.MatchString(topic) || len(f.fullNameOf(slug)) > 100 {
				t.Errorf("%s has the topic %q", slug, topic)
			}
		}
	}
}

func TestSettingsThatAreNoneAreNotRepeated(t *testing.T) {
	good := Config{URL: "https://git.example.com", Token: "canary", Organization: "rdev", Installation: "i", Hook: &Hook{URL: "https://h", Secret: "canary"}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Config){
		"no URL":             func(c *Config) { c.URL = "" },
		"another scheme":     func(c *Config) { c.URL = "ssh://canary" },
		"a password":         func(c *Config) { c.URL = "https://u:canary@git.example.com" },
		"a query":            func(c *Config) { c.URL = "https://git.example.com?canary" },
		"no token":           func(c *Config) { c.Token = "" },
		"two lines":          func(c *Config) { c.Token = "canary\nx" },
		"no organization":    func(c *Config) { c.Organization = "" },
		"a path":             func(c *Config) { c.Organization = "a/b" },
		"a long one":         func(c *Config) { c.Organization = strings.Repeat("a", 41) },
		"no installation":    func(c *Config) { c.Installation = "" },
		"a hook to nowhere":  func(c *Config) { c.Hook = &Hook{URL: "canary", Secret: "canary"} },
		"a hook for anybody": func(c *Config) { c.Hook = &Hook{URL: "https://h"} },
	} {
		config := good
		change(&config)
		if _, err := New(config); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
