package git

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestARepositoryIsClonedAndPushedWithTheRealGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	if r.Name != "shop.git" || !strings.HasSuffix(r.CloneURL, "/git/shop.git") || r.WebURL != "" || r.Branch != "main" || w.head(r) != "" {
		t.Fatalf("it is %+v, with %q", r, w.head(r))
	}
	access := w.granted(r)
	w.must("clone", "-q", access, "one")
	w.write("one", "a", []byte("first"))
	w.must("-C", "one", "push", "-q", "origin", "main")
	if head := w.head(r); head == "" || head != w.must("-C", "one", "rev-parse", "HEAD") {
		t.Errorf("the head is %q", head)
	}
	w.write("one", "b", []byte("second"))
	w.must("-C", "one", "push", "-q", "origin", "main", "main:more", "main:refs/tags/v1")
	w.must("clone", "-q", access, "two")
	if text, err := os.ReadFile(filepath.Join(w.home, "two", "b")); err != nil || string(text) != "second" {
		t.Errorf("a clone has %q, %v", text, err)
	}
	w.must("clone", "-q", "--depth", "1", "--branch", "v1", access, "shallow")
	if commits := w.must("-C", "shallow", "rev-list", "--count", "HEAD"); commits != "1" {
		t.Errorf("a shallow clone has %s commits", commits)
	}
	w.must("clone", "-q", "--filter=blob:none", access, "partial")
	w.must("init", "-q", "by-commit")
	w.must("-C", "by-commit", "fetch", "-q", "--depth", "1", access, w.must("-C", "one", "rev-parse", "HEAD~"))
	for _, protocol := range []string{"0", "1", "2"} {
		w.must("-c", "protocol.version="+protocol, "clone", "-q", access, "protocol"+protocol)
		w.write("protocol"+protocol, "p"+protocol, nil)
		w.must("-C", "protocol"+protocol, "-c", "protocol.version="+protocol, "push", "-q", "origin", "main")
	}
	w.must("-C", "one", "push", "-q", "origin", ":more")
	w.must("-C", "one", "fetch", "-q", "origin")
	w.must("-C", "one", "push", "-q", "--force", "origin", "main")
	if head := w.head(r); head != w.must("-C", "one", "rev-parse", "HEAD") {
		t.Errorf("after a forced push it is at %s", head)
	}

	again := w.create("shop", "")
	if again != r || w.head(r) == "" {
		t.Errorf("made again it is %+v", again)
	}
	w.must("-C", "one", "fetch", "-q", "origin") // the token is the same
}

func TestOnlyTheTokenOfTheProjectLetsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, blog := w.create("shop", ""), w.create("blog", "")
	first := w.granted(shop)
	access, other := w.granted(shop), w.granted(blog)
	token := func(address string) string {
		parsed, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		token, _ := parsed.User.Password()
		return token
	}
	header := func(user, token string) string {
		return "http.extraHeader=Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token))
	}
	w.must("-c", header("rdev", token(access)), "clone", "-q", shop.CloneURL, "one")
	w.must("-c", header("anybody", token(access)), "ls-remote", shop.CloneURL)
	w.write("one", "a", nil)
	const refused = "Authentication failed"
	for name, address := range map[string]string{
		"the token before": first, "another project's": with(shop, token(other)), "none": with(shop, ""), "the user as the token": with(shop, "rdev"),
		"a project that is not there": strings.Replace(access, "shop.git", "none.git", 1),
	} {
		t.Log(name)
		w.refused(refused, "ls-remote", address)
		w.refused(refused, "-C", "one", "push", address, "main")
	}
	w.refused("could not read Username", "ls-remote", shop.CloneURL)
	hash, err := w.note("shop", "shop.token")
	if err != nil || strings.Contains(hash, token(access)) {
		t.Errorf("kept is %q, %v", hash, err)
	}
	w.refused(refused, "ls-remote", with(shop, hash))
	if info, err := os.Lstat(w.path("shop.token")); err != nil || info.Mode() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if w.head(shop) != "" {
		t.Error("something was pushed")
	}

	if err := w.Release(t.Context(), "shop", ""); err != nil {
		t.Fatal(err)
	}
	w.refused(refused, "ls-remote", access)
	if err := w.Remove(t.Context(), "blog", ""); err != nil {
		t.Fatal(err)
	}
	w.refused(refused, "ls-remote", other)
}

// Whatever is not smart HTTP is not there, with the token as well.
func TestNothingButTheSmartProtocolIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	access := w.granted(w.create("shop", ""))
	outside := filepath.Join(filepath.Dir(w.dir), "outside.git")
	w.must("init", "-q", "--bare", outside)
	answer := func(method, path string, token bool) (int, string) {
		t.Helper()
		base, err := url.Parse(access)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", base.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		login := ""
		if token {
			login = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(base.User.String())) + "\r\n"
		}
		_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n%s\r\n", method, path, login)
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		var status int
		if _, err := fmt.Sscanf(string(all), "HTTP/1.1 %d", &status); err != nil {
			t.Fatalf("%v: %s", err, all)
		}
		return status, string(all)
	}
	for _, path := range []string{
		"/git/shop.git", "/git/shop.git/", "/git/shop.git/HEAD", "/git/shop.git/config", "/git/shop.git/objects/info/packs", "/git/shop.git/info/refs",
		"/git/shop.git/info/refs?service=git-upload-archive", "/git/shop.git/info/refs?service=", "/git/shop.git/git-upload-archive", "/git/shop.git/git-upload-pack",
		"/git/shop/info/refs?service=git-upload-pack", "/git/shop.git/x/../info/refs?service=git-upload-pack", "/git/shop.git//info/refs?service=git-upload-pack",
		"/git/%2e%2e/outside.git/info/refs?service=git-upload-pack", "/git/..%2foutside.git/info/refs?service=git-upload-pack",
		"/git//shop.git/info/refs?service=git-upload-pack", "/git/shop.token", "/git/.rdev-" + installation + "/info/refs?service=git-upload-pack",
		"/git/shop.git%00/info/refs?service=git-upload-pack", "/git/SHOP.git/info/refs?service=git-upload-pack", "/git/-shop.git/info/refs?service=git-upload-pack",
	} {
		if status, all := answer("GET", path, true); status != 404 && status != 301 && status != 307 || strings.Contains(all, "refs/heads") || strings.Contains(all, "service=git") && status == 404 {
			t.Errorf("%s: %s", path, all)
		}
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "PROPFIND"} {
		if status, _ := answer(method, "/git/shop.git/info/refs?service=git-upload-pack", true); status != 404 {
			t.Errorf("%s: %d", method, status)
		}
	}
	if status, all := answer("GET", "/git/shop.git/info/refs?service=git-upload-pack&service=x", true); status != 200 || !strings.Contains(all, "no-cache") {
		t.Errorf("what is right is answered with %s", all)
	}
	_, known := answer("GET", "/git/shop.git/info/refs?service=git-upload-pack", false)
	_, unknown := answer("GET", "/git/none.git/info/refs?service=git-upload-pack", false)
	date := regexp.MustCompile("Date: .*GMT")
	if date.ReplaceAllString(known, "") != date.ReplaceAllString(unknown, "") || !strings.Contains(known, "401 Unauthorized") || !strings.Contains(known, "Www-Authenticate: Basic realm=\"rdev\"\r\n") {
		t.Errorf("without the token:\n%s\n%s", known, unknown)
	}
}

func TestOfPushesAtTheSameTimeOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	access := w.granted(r)
	w.must("clone", "-q", access, "0")
	w.write("0", "a", nil)
	w.must("-C", "0", "push", "-q", "origin", "main")
	const pushers = 5
	var group sync.WaitGroup
	won := make([]bool, pushers)
	for i := range pushers {
		if i > 0 {
			w.must("clone", "-q", access, fmt.Sprint(i))
		}
	}
	for i := range pushers {
		w.write(fmt.Sprint(i), fmt.Sprint("of", i), nil)
	}
	for i := range pushers {
		group.Go(func() {
			_, err := w.try("-C", fmt.Sprint(i), "push", "-q", "origin", "main")
			won[i] = err == nil
		})
	}
	group.Wait()
	winners := 0
	for i, won := range won {
		if won {
			winners++
			if w.head(r) != w.must("-C", fmt.Sprint(i), "rev-parse", "HEAD") {
				t.Errorf("%d has not won", i)
			}
		}
	}
	if winners != 1 {
		t.Errorf("%d have won", winners)
	}
}
