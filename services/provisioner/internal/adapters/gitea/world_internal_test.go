package gitea

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var _ app.Repositories = (*Forge)(nil)

// world is a Gitea, with names of a test's own, and an administrator who watches it all.
type world struct {
	t      *testing.T
	server testkit.GiteaServer
	all    *sdk.Client
	prefix string // of the names of all that the test makes
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: testkit.Gitea(t), prefix: "t" + strings.ToLower(rand.Text()[:10])}
	var err error
	w.all, err = sdk.NewClient(w.server.URL, sdk.SetToken(w.server.Token), sdk.SetGiteaVersion(""))
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// forge is an installation with an organization of its own.
func (w *world) forge(change ...func(*Config)) *Forge {
	w.t.Helper()
	config := Config{URL: w.server.URL, Token: w.server.Token, Organization: w.prefix + "-rdev", Installation: w.prefix}
	for _, change := range change {
		change(&config)
	}
	f, err := New(config)
	w.must(err)
	return f
}

// again is the same installation in another process.
func (w *world) again(f *Forge) *Forge {
	w.t.Helper()
	again, err := New(f.config)
	w.must(err)
	return again
}

// person makes a user, with a token that has rights.
func (w *world) person(name string, scopes ...sdk.AccessTokenScope) (token string) {
	w.t.Helper()
	no, password := false, newPassword()
	_, _, err := w.all.AdminCreateUser(sdk.CreateUserOption{Username: name, Email: name + "@example.invalid", Password: password, MustChangePassword: &no})
	w.must(err)
	as, err := sdk.NewClient(w.server.URL, sdk.SetBasicAuth(name, password), sdk.SetGiteaVersion(""))
	w.must(err)
	if len(scopes) == 0 {
		return ""
	}
	made, _, err := as.CreateAccessToken(sdk.CreateAccessTokenOption{Name: "test", Scopes: scopes})
	w.must(err)
	return made.Token
}

// member has a token of somebody who is no administrator, as an operator may give it.
func (w *world) member() func(*Config) {
	w.t.Helper()
	token := w.person(w.prefix+"-member", "write:organization", "write:repository", "read:user")
	return func(c *Config) { c.Token = token }
}

// administrator has a token that may do what rdev needs, and no more.
func (w *world) administrator() func(*Config) {
	w.t.Helper()
	name, yes := w.prefix+"-administrator", true
	token := w.person(name, "write:admin", "write:organization", "write:repository", "read:user")
	_, err := w.all.AdminEditUser(name, sdk.EditUserOption{LoginName: name, Admin: &yes})
	w.must(err)
	return func(c *Config) { c.Token = token }
}

// team makes somebody else's organization with a repository, and returns its full name.
func (w *world) team(organization, repository string, initialised bool) string {
	w.t.Helper()
	if _, response, err := w.all.CreateOrg(sdk.CreateOrgOption{Name: organization, Visibility: sdk.VisibleTypePrivate}); status(response) != http.StatusUnprocessableEntity {
		w.must(err)
	}
	_, _, err := w.all.CreateOrgRepo(organization, sdk.CreateRepoOption{Name: repository, Private: true, AutoInit: initialised, DefaultBranch: "trunk", Description: "of somebody"})
	w.must(err)
	return organization + "/" + repository
}

// there is all that Gitea has in an organization, and its users whose names begin so.
func (w *world) there(organizations, users string) string {
	w.t.Helper()
	var all []any
	repositories, _, err := w.all.SearchRepos(sdk.SearchRepoOptions{ListOptions: sdk.ListOptions{PageSize: 50}, Keyword: ""})
	for page := 2; err == nil && len(repositories)%50 == 0 && len(repositories) > 0; page++ {
		var more []*sdk.Repository
		if more, _, err = w.all.SearchRepos(sdk.SearchRepoOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: 50}}); len(more) == 0 {
			break
		}
		repositories = append(repositories, more...)
	}
	w.must(err)
	for _, r := range repositories {
		if strings.HasPrefix(r.FullName, organizations) {
			all = append(all, w.repository(r))
		}
	}
	found, _, err := w.all.AdminListUsers(sdk.AdminListUsersOptions{ListOptions: sdk.ListOptions{PageSize: 50}, Query: users})
	w.must(err)
	for _, u := range found {
		if strings.HasPrefix(u.UserName, users) {
			u.LastLogin, u.AvatarURL = u.Created, ""
			keys, _, err := w.all.ListPublicKeys(u.UserName, sdk.ListPublicKeysOptions{})
			w.must(err)
			all = append(all, u, keys)
		}
	}
	text, err := json.MarshalIndent(all, "", " ")
	w.must(err)
	return string(text)
}

// repository is all that there is of one, but for what changes by itself.
func (w *world) repository(r *sdk.Repository) map[string]any {
	w.t.Helper()
	owner, name := r.Owner.UserName, r.Name
	topics, _, err := w.all.ListRepoTopics(owner, name, sdk.ListRepoTopicsOptions{ListOptions: sdk.ListOptions{PageSize: 50}})
	w.must(err)
	slices.Sort(topics)
	hooks, _, err := w.all.ListRepoHooks(owner, name, sdk.ListHooksOptions{})
	w.must(err)
	keys, _, err := w.all.ListDeployKeys(owner, name, sdk.ListDeployKeysOptions{})
	w.must(err)
	for _, key := range keys {
		key.Repository = nil
	}
	collaborators, _, err := w.all.ListCollaborators(owner, name, sdk.ListCollaboratorsOptions{})
	w.must(err)
	var rights []string
	for _, c := range collaborators {
		permission, _, err := w.all.CollaboratorPermission(owner, name, c.UserName)
		w.must(err)
		rights = append(rights, c.UserName+" "+string(permission.Permission))
	}
	commits, _, _ := w.all.ListRepoCommits(owner, name, sdk.ListCommitOptions{}) // of an empty one it is an error
	return map[string]any{
		"name": r.FullName, "id": r.ID, "description": r.Description, "private": r.Private, "archived": r.Archived, "branch": r.DefaultBranch,
		"topics": topics, "hooks": hooks, "keys": keys, "rights": rights, "commits": commits, "website": r.Website, "template": r.Template,
		"issues": r.HasIssues, "wiki": r.HasWiki, "pulls": r.HasPullRequests, "merge": r.AllowMerge, "style": r.DefaultMergeStyle,
	}
}

// left is what there is of a project's own.
func (w *world) left(f *Forge, slug string) string {
	w.t.Helper()
	text := w.there(f.config.Organization+"/"+slug, f.userOf(slug))
	if text == "null" {
		return ""
	}
	return text
}

func (w *world) create(f *Forge, slug, adopt string) app.Repository {
	w.t.Helper()
	r, err := f.Create(w.t.Context(), slug, adopt)
	w.must(err)
	return r
}

func (w *world) grant(f *Forge, slug string, r app.Repository) app.Access {
	w.t.Helper()
	access, err := f.Grant(w.t.Context(), slug, r)
	w.must(err)
	return access
}

// git runs git as a command of a project does, with the access that it has.
func (w *world) git(access app.Access, args ...string) (string, error) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", append([]string{"-c", "user.name=n", "-c", "user.email=n@example.invalid"}, args...)...)
	cmd.Dir = w.t.TempDir()
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true")
	if access.Key != "" {
		if _, err := exec.LookPath("ssh"); err != nil {
			w.t.Fatal("ssh is missing: apt-get install openssh-client")
		}
		key, known := filepath.Join(cmd.Dir, "key"), filepath.Join(cmd.Dir, "known")
		w.must(errors.Join(os.WriteFile(key, []byte(access.Key), 0o600), os.WriteFile(known, []byte(w.server.KnownHost+"\n"), 0o600)))
		cmd.Env = append(cmd.Env, fmt.Sprintf("GIT_SSH_COMMAND=ssh -F /dev/null -i %s -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes -o BatchMode=yes", key, known))
	}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// clone clones a repository as access allows, and pushes a commit where that works.
func (w *world) clone(access app.Access, r app.Repository) error {
	w.t.Helper()
	address := access.SSHURL
	if access.Token != "" {
		address = withUser(r.CloneURL, access)
	}
	dir := filepath.Join(w.t.TempDir(), "clone")
	for _, args := range [][]string{
		{"clone", address, dir},
		{"-C", dir, "commit", "--allow-empty", "-m", "of a command"},
		{"-C", dir, "push", "origin", "HEAD:" + r.Branch},
	} {
		if output, err := w.git(access, args...); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, output)
		}
	}
	return nil
}

// withUser is an address as git takes it, with who comes.
func withUser(address string, access app.Access) string {
	return strings.Replace(address, "://", "://"+access.User+":"+access.Token+"@", 1)
}

// join takes a user into a team of an organization.
func (w *world) join(user, organization string) error {
	teams, _, err := w.all.ListOrgTeams(organization, sdk.ListTeamsOptions{})
	if err != nil {
		return err
	}
	_, err = w.all.AddTeamMember(teams[0].ID, user)
	return err
}

// failure fails the test where an error is none that a person mends, or does not say so.
func (w *world) failure(err error, class contract.FailureClass, says string) {
	w.t.Helper()
	known, ok := errors.AsType[*app.StepError](err)
	if !ok || known.Failure.Class != class || !strings.Contains(known.Failure.Message, says) || strings.Contains(known.Failure.Message, w.server.Token) {
		w.t.Errorf("%v: want one of class %s with %q", err, class, says)
	}
}

// errKilled is what a process sees that is no more.
var errKilled = errors.New("killed")

// mortal is a process that dies before, or after, a call.
type mortal struct {
	next   http.RoundTripper
	mu     sync.Mutex
	passed int // boundaries so far: two for each call
	killAt int // 0 for never
	dead   bool
}

func (m *mortal) pass() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed++
	m.dead = m.dead || m.passed == m.killAt
	return !m.dead
}

// RoundTrip implements http.RoundTripper.
func (m *mortal) RoundTrip(request *http.Request) (*http.Response, error) {
	if !m.pass() {
		return nil, errKilled
	}
	response, err := m.next.RoundTrip(request)
	if err == nil && !m.pass() {
		return nil, errors.Join(errKilled, response.Body.Close())
	}
	return response, err
}

// killed does something that dies at a boundary, 0 for never, and tells how many there were.
func (w *world) killed(f *Forge, killAt int, do func(context.Context, *Forge) error) (boundaries int) {
	w.t.Helper()
	f = w.again(f)
	m := &mortal{next: f.client.Transport, killAt: killAt}
	f.client.Transport = m
	err := do(w.t.Context(), f)
	if killAt == 0 {
		w.must(err)
	}
	return m.passed
}
