package app_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

const (
	repositoryUser  = "bot"
	repositoryToken = "t0ken-of-the-shop"
)

// basic is what git sends of the two.
func basic() string {
	return base64.StdEncoding.EncodeToString([]byte(repositoryUser + ":" + repositoryToken))
}

// opens are the credentials of a repository.
func opens(url string) map[string]string {
	return map[string]string{"REPOSITORY_URL": url, "REPOSITORY_USER": repositoryUser, "REPOSITORY_TOKEN": repositoryToken}
}

// environment is what a command gets that names all credentials which there are, with an
// environment of its own.
func environment(t *testing.T, credentials, env map[string]string, frames ...domain.Frame) *world {
	t.Helper()
	cmd := sleepFor()
	cmd.Env = env
	for name := range credentials {
		cmd.Credentials = append(cmd.Credentials, name)
	}
	w, e := newWorld(t, cmd, program{exit: domain.Exit{Known: true}, frames: frames})
	w.vault = tells(credentials)
	if err := w.execute(t, e); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestGitIsToldHowItOpensTheRepositoryOfTheCredentials(t *testing.T) {
	const url = "https://git.example.com/rdev/shop.git"
	told := func(n, m, count string) []string {
		return []string{
			"GIT_CONFIG_KEY_" + n + "=http." + url + ".extraHeader", "GIT_CONFIG_VALUE_" + n + "=Authorization: Basic " + basic(),
			"GIT_CONFIG_KEY_" + m + "=http." + url + ".followRedirects", "GIT_CONFIG_VALUE_" + m + "=false", "GIT_CONFIG_COUNT=" + count,
		}
	}
	without := func(name string) map[string]string {
		all := opens(url)
		delete(all, name)
		return all
	}
	for name, c := range map[string]struct {
		credentials, env map[string]string
		want             []string // that begin with GIT_CONFIG_ and are not of the command
	}{
		"all three":                   {opens(url), nil, told("0", "1", "2")},
		"settings of the command's":   {opens(url), map[string]string{"GIT_CONFIG_COUNT": "3"}, told("3", "4", "5")},
		"none of the command's":       {opens(url), map[string]string{"GIT_CONFIG_COUNT": "0"}, told("0", "1", "2")},
		"an empty number":             {opens(url), map[string]string{"GIT_CONFIG_COUNT": ""}, told("0", "1", "2")},
		"a number that git refuses":   {opens(url), map[string]string{"GIT_CONFIG_COUNT": "x"}, nil},
		"a negative number":           {opens(url), map[string]string{"GIT_CONFIG_COUNT": "-1"}, nil},
		"the largest number":          {opens(url), map[string]string{"GIT_CONFIG_COUNT": "2147483647"}, nil},
		"without the address":         {without("REPOSITORY_URL"), nil, nil},
		"without the user":            {without("REPOSITORY_USER"), nil, nil},
		"without the token":           {without("REPOSITORY_TOKEN"), nil, nil},
		"of SSH":                      {opens("git@git.example.com:rdev/shop.git"), nil, nil},
		"of a file":                   {opens("file:///srv/shop.git"), nil, nil},
		"of a whole host":             {opens("https://git.example.com/"), nil, nil},
		"of a whole host, roundabout": {opens("https://git.example.com/x/%2e%2e/"), nil, nil},
		"of many hosts":               {opens("https://*.example.com/shop.git"), nil, nil},
		"with a user":                 {opens("https://me@git.example.com/shop.git"), nil, nil},
		"with a query":                {opens("https://git.example.com/shop.git?x"), nil, nil},
		"no address":                  {opens("https:// /"), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, variable := range environment(t, c.credentials, c.env).env {
				key, value, _ := strings.Cut(variable, "=")
				if own, set := c.env[key]; strings.HasPrefix(key, "GIT_CONFIG_") && (!set || own != value) {
					got = append(got, variable)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("git is told\n%q, want\n%q", got, c.want)
			}
		})
	}
}

// FuzzRepositoryAddress checks that git is told of no address that could stand for more than
// one repository.
func FuzzRepositoryAddress(f *testing.F) {
	for _, address := range []string{
		"https://git.example.com/rdev/shop.git", "http://127.0.0.1:8080/git/shop.git/", "HTTPS://h/a/../..", "http://h//", "https://*/x", "http://a@h/x", "http://[::1]/x%2f..", "git@h:x",
	} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		for _, variable := range environment(t, opens(address), nil).env {
			key, found := strings.CutPrefix(variable, "GIT_CONFIG_KEY_0=http.")
			if !found {
				continue
			}
			host, path, _ := strings.Cut(strings.SplitAfterN(strings.TrimSuffix(key, ".extraHeader"), "://", 2)[1], "/")
			dots := strings.NewReplacer("%2e", ".", "%2E", ".").Replace(strings.TrimSuffix(path, "/"))
			around := slices.ContainsFunc(strings.Split(dots, "/"), func(part string) bool { return part == "" || part == "." || part == ".." })
			if host == "" || strings.ContainsAny(host, "@*") || strings.ContainsAny(key, "\n\x00?#") || around {
				t.Errorf("git is told of %q", key)
			}
		}
	})
}

func TestTheTokenIsMaskedAsGitSendsItAndTheAddressAndTheUserAreNot(t *testing.T) {
	const url = "https://git.example.com/rdev/shop.git"
	said := "To " + url + " as bot: Authorization: Basic " + basic() + ", " + repositoryToken
	half := len(said) / 2
	w := environment(t, opens(url), nil, stdout(said[:half], 0, 200), stdout(said[half:], int64(half), 400))
	if got, want := w.text(), "To "+url+" as bot: Authorization: Basic [redacted:REPOSITORY_TOKEN:basic], [redacted:REPOSITORY_TOKEN]"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	// Where they open no repository they may be anything.
	w = environment(t, opens("https://bot:pass@git.example.com/shop.git"), nil, stdout("https://bot:pass@git.example.com/shop.git bot", 0, 200))
	if got, want := w.text(), "[redacted:REPOSITORY_URL] [redacted:REPOSITORY_USER]"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// hosts are two servers of Git repositories, which let everybody in and note what they are
// sent.
type hosts struct {
	t           *testing.T
	dir         string
	main, other *httptest.Server

	mu       sync.Mutex
	redirect string         // where requests for /git/shop.git/ are sent to, "" for nowhere
	sent     map[string]int // Authorization headers, by host and first two parts of the path
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	h := &hosts{t: t, dir: t.TempDir(), sent: map[string]int{}}
	h.git("init", "-q", "-b", "main", "shop")
	h.git("-C", "shop", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "first")
	for _, name := range []string{"shop.git", "shop.git.evil", "shop.gitx", "Shop.git"} {
		h.git("clone", "-q", "--bare", "shop", name)
		h.git("-C", name, "config", "http.receivepack", "true")
	}
	core := strings.TrimSpace(h.git("--exec-path"))
	serve := &cgi.Handler{
		Path: filepath.Join(core, "git-http-backend"), Root: "/git",
		Env: []string{"GIT_PROJECT_ROOT=" + h.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1"},
	}
	server := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.note(name, r)
			if to := h.redirected(); name == "main" && to != "" && strings.HasPrefix(r.URL.Path, "/git/shop.git/") {
				http.Redirect(w, r, to+strings.TrimPrefix(r.URL.String(), "/git/shop.git"), http.StatusMovedPermanently)
				return
			}
			serve.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return s
	}
	h.main, h.other = server("main"), server("other")
	return h
}

func (h *hosts) redirected() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.redirect
}

// redirectTo sends requests for /git/shop.git/ elsewhere from now on.
func (h *hosts) redirectTo(url string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.redirect = url
}

func (h *hosts) note(name string, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Header.Get("Authorization") == "" {
		return
	}
	parts := strings.SplitN(r.URL.Path, "/", 4)
	h.sent[name+" "+parts[2]]++
	if r.Header.Get("Authorization") != "Basic "+basic() {
		h.t.Errorf("git sends %q", r.Header)
	}
}

// git runs git by itself.
func (h *hosts) git(args ...string) string {
	h.t.Helper()
	out, err := h.run(nil, args...)
	if err != nil {
		h.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return out
}

func (h *hosts) run(env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(h.t.Context(), "git", args...)
	cmd.Dir = h.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.t.TempDir(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1"}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// where tells where the header was sent since the last time.
func (h *hosts) where() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for name := range h.sent {
		all = append(all, name)
	}
	clear(h.sent)
	slices.Sort(all)
	return all
}

func TestGitSendsTheTokenToTheRepositoryAndNowhereElse(t *testing.T) {
	h := newHosts(t)
	url := h.main.URL + "/git/shop.git"
	env := environment(t, opens(url), map[string]string{
		"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "b", "GIT_CONFIG_KEY_1": "http.followRedirects", "GIT_CONFIG_VALUE_1": "true",
	}).env
	must := func(args ...string) {
		t.Helper()
		if out, err := h.run(env, args...); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	for _, args := range [][]string{
		{"clone", "-q", url, "work"},
		{"-C", "work", "-c", "user.email=b@example.com", "commit", "-q", "--allow-empty", "-m", "second"},
		{"-C", "work", "push", "-q", "origin", "HEAD"},
		{"-C", "work", "fetch", "-q"},
		{"ls-remote", url + "/"},
	} {
		must(args...)
		if got := h.where(); !slices.Contains(args, "commit") && !slices.Equal(got, []string{"main shop.git"}) {
			t.Errorf("git %q sends it to %q", args, got)
		}
	}
	if out := h.git("-C", "shop.git", "log", "-1", "--format=%an %s", "main"); out != "b second\n" {
		t.Errorf("what was pushed is %q", out)
	}
	for _, other := range []string{
		url + ".evil", url + "x", h.main.URL + "/git/Shop.git", url + "/../shop.gitx", h.other.URL + "/git/shop.git",
		strings.Replace(url, "127.0.0.1", "localhost", 1), h.main.URL + "/git",
	} {
		_, _ = h.run(env, "ls-remote", other)
		if got := h.where(); len(got) > 0 {
			t.Errorf("of %s it is sent to %q", other, got)
		}
	}
	config, err := os.ReadFile(filepath.Join(h.dir, "work", ".git", "config"))
	if err != nil || strings.Contains(string(config), repositoryToken) || strings.Contains(string(config), basic()) {
		t.Errorf("the configuration is %s, %v", config, err)
	}
}

func TestGitFollowsNoRedirectWithTheToken(t *testing.T) {
	h := newHosts(t)
	env := environment(t, opens(h.main.URL+"/git/shop.git"), map[string]string{
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.followRedirects", "GIT_CONFIG_VALUE_0": "true",
	}).env
	for _, to := range []string{
		h.other.URL + "/git/shop.git", strings.Replace(h.other.URL, "127.0.0.1", "localhost", 1) + "/git/shop.git", h.main.URL + "/git/shop.gitx",
	} {
		h.redirectTo(to)
		for _, args := range [][]string{{"clone", "-q", h.main.URL + "/git/shop.git", "work"}, {"-C", "shop", "push", h.main.URL + "/git/shop.git", "main"}} {
			out, err := h.run(env, args...)
			if exit := new(exec.ExitError); !errors.As(err, &exit) || !strings.Contains(out, "error: 301") {
				t.Errorf("git %q to %s: %v\n%s", args, to, err, out)
			}
			if got := h.where(); !slices.Equal(got, []string{"main shop.git"}) {
				t.Errorf("git %q to %s sends it to %q", args, to, got)
			}
		}
	}
}
