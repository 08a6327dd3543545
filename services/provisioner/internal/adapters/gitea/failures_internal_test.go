package gitea

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// What Gitea cannot be brought to say in a test is said by a server in its place.
func TestAnswersSayWhoCanMendThem(t *testing.T) {
	for _, c := range []struct {
		code  int
		class contract.FailureClass // "" for one that is tried again
		says  string
	}{
		{401, contract.ClassAuth, "set PROVISIONER_GITEA_TOKEN_FILE"},
		{403, contract.ClassAuth, "required scope(s)"},
		{429, contract.ClassRateLimit, "fewer calls"},
		{423, contract.ClassUser, "unarchive"},
		{302, contract.ClassUser, "set PROVISIONER_GITEA_URL"},
		{500, "", "Gitea says 500: token lacks required scope(s)"},
		{502, "", "502"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/version") {
				fmt.Fprint(rw, `{"version":"1.26.0"}`)
				return
			}
			rw.Header().Set("Retry-After", "3600")
			rw.Header().Set("Location", "http://127.0.0.1:1/")
			rw.WriteHeader(c.code)
			fmt.Fprint(rw, `{"message":"token lacks\nrequired scope(s)"}`)
		}))
		f, err := New(Config{URL: server.URL + "/", Token: "canary", Organization: "rdev", Installation: "i"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Plan(t.Context(), slug, "")
		known, ok := errors.AsType[*app.StepError](err)
		if ok != (c.class != "") || ok && known.Failure.Class != c.class || !strings.Contains(fmt.Sprint(err), c.says) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%d: %v", c.code, err)
		}
		server.Close()
		if _, err = f.Plan(t.Context(), slug, ""); err == nil {
			t.Error("nobody is there, and that is no error")
		}
	}
}

// busy is a Gitea that asks to wait, and keeps what it was sent.
type busy struct{ bodies []string }

func (b *busy) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	b.bodies = append(b.bodies, string(body))
	return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0"}}, Body: http.NoBody}, err
}

func TestAShortWaitIsWaitedOnce(t *testing.T) {
	b := &busy{}
	client := &http.Client{Transport: patient{b}}
	response, err := client.Post("http://gitea.example.com", "text/plain", strings.NewReader("body"))
	if err == nil {
		err = response.Body.Close()
	}
	if err != nil || response.StatusCode != http.StatusTooManyRequests || !slices.Equal(b.bodies, []string{"body", "body"}) {
		t.Errorf("it was sent %q, %v", b.bodies, err)
	}
}

// A version that the SDK cannot read is no reason to do less, and it is asked for once.
func TestTheVersionIsAskedForOnce(t *testing.T) {
	for _, version := range []string{"1.26.0", "1.26.0+dev-12-gabc", "of our own"} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/version") {
				asked++
				fmt.Fprintf(rw, `{"version":%q}`, version)
				return
			}
			rw.WriteHeader(http.StatusNotFound)
		}))
		f, err := New(Config{URL: server.URL, Token: "t", Organization: "rdev", Installation: "i"})
		if err != nil || asked > 0 {
			t.Fatalf("asked %d times, %v", asked, err)
		}
		for range 2 {
			if _, err := f.Plan(t.Context(), slug, ""); err != nil {
				t.Errorf("%s: %v", version, err)
			}
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times", version, asked)
		}
		server.Close()
	}
}

func TestATokenThatIsNotGoodEnoughSaysSo(t *testing.T) {
	w := newWorld(t)
	bad := w.forge(func(c *Config) { c.Token = strings.Repeat("0", 40) })
	_, err := bad.Plan(t.Context(), slug, "")
	w.failure(err, contract.ClassAuth, "is not accepted")
	poor := w.person(w.prefix+"-poor", "read:repository")
	f := w.forge(func(c *Config) { c.Token = poor })
	_, err = f.Create(t.Context(), slug, "")
	w.failure(err, contract.ClassAuth, "write:organization")
	// An organization that is not theirs, and one that is a user.
	stranger := w.person(w.prefix+"-stranger", "write:repository", "write:organization", "read:user")
	w.create(w.forge(), slug, "")
	f = w.forge(func(c *Config) { c.Token = stranger })
	_, err = f.Create(t.Context(), "blog", "")
	w.failure(err, contract.ClassUser, "set PROVISIONER_GITEA_ORGANIZATION to another")
	f = w.forge(func(c *Config) { c.Organization = w.prefix + "-poor" })
	_, err = f.Create(t.Context(), "blog", "")
	w.failure(err, contract.ClassUser, "set PROVISIONER_GITEA_ORGANIZATION to another")
	// One that Gitea takes for no name.
	f = w.forge(func(c *Config) { c.Organization = "api" })
	if _, err = f.Create(t.Context(), "blog", ""); err == nil {
		t.Error("an organization api is made")
	}
}

// Keys, too, that a user got elsewhere are worth nothing after a grant.
func TestAGrantLeavesAUserNothingElse(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	r := w.create(f, slug, "")
	user := w.grant(f, slug, r).User
	public, private, err := newKey("")
	w.must(err)
	_, _, err = w.all.AdminCreateUserPublicKey(user, sdk.CreateKeyOption{Title: "x", Key: public})
	w.must(err)
	made, _, err := w.all.GetRepo(w.prefix+"-rdev", slug)
	w.must(err)
	key := app.Access{SSHURL: made.SSHURL, Key: private}
	if err := w.clone(key, r); err != nil {
		t.Fatal(err)
	}
	w.grant(f, slug, r)
	if err := w.clone(key, r); err == nil {
		t.Error("the key still opens it")
	}
}
