// Package gitea keeps the repositories of projects on a Gitea of the operator's.
//
// A project's own repository is <organization>/<slug>, and its mark is a topic that is made
// of the installation's id and the slug. A repository is made without topics: so it has a
// description from its first moment on that says the same, and one with that description,
// without a commit, and without topics was made by us, who were cut off. Whoever edits the
// description later does no harm. The topic is the last to go.
//
// The commands of a project get in as a user of Gitea's who is the project's alone: its full
// name and its address are its mark. Only an administrator makes users: where the token is of
// none they get in with a deploy key, whose title is the mark. A webhook is known by its URL.
//
// A repository that is adopted stays as it is: it gets the user as a collaborator, or the
// deploy key, and the webhook, and loses them when the project goes. It never gets a topic,
// and is never removed.
//
// Every other repository, user, key and webhook is somebody else's. Each method may be
// called again, whatever became of the call before.
package gitea

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	sdk "code.gitea.io/sdk/gitea"
)

const (
	// requestTimeout is long: a commit of many files takes a busy Gitea seconds.
	requestTimeout = time.Minute
	connectTimeout = 10 * time.Second
	// pageSize is what Gitea gives at most, unless it is set to give less.
	pageSize = 50
)

// Config is where the repositories are.
type Config struct {
	URL string // as https://git.example.com
	// Token may read users, and write repositories and the organization; those of an
	// administrator that may write admin, too, have users made.
	Token string
	// Organization has the repositories. It is made, private, where there is none, and stays.
	Organization string
	Installation string // its id
	Hook         *Hook  // nil for none
}

// Hook is the webhook of each repository, for pushes, branches and pull requests.
type Hook struct {
	URL    string
	Secret string // with which Gitea signs what it sends
}

// Forge implements app.Repositories. It is safe for concurrent use.
type Forge struct {
	config Config
	client *http.Client

	mu      sync.Mutex
	asked   bool   // whether Gitea has told its version
	version string // "" where the SDK cannot read it
}

// names are what Gitea takes as the name of an organization.
var names = regexp.MustCompile(`^[A-Za-z0-9]([-._]?[A-Za-z0-9])*$`)

// New checks the settings. It does not connect.
func New(config Config) (*Forge, error) {
	config.URL = strings.TrimRight(config.URL, "/")
	switch {
	case !isAddress(config.URL) || strings.Contains(config.URL, "?"):
		// The value could have a password in it.
		return nil, errors.New("the URL of Gitea is not of the form https://git.example.com")
	case config.Token == "" || strings.ContainsFunc(config.Token, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r) }):
		return nil, errors.New("the token of Gitea is empty, or has characters that no token has")
	case !names.MatchString(config.Organization) || len(config.Organization) > 40:
		return nil, errors.New("the organization is not 1 to 40 letters and digits, with single - _ . between them")
	case config.Installation == "":
		return nil, errors.New("the id of the installation is missing")
	case config.Hook != nil && (!isAddress(config.Hook.URL) || config.Hook.Secret == ""):
		return nil, errors.New("the webhook needs a URL, as https://rdev.example.com/hooks, and a secret")
	}
	return &Forge{config: config, client: &http.Client{
		Timeout: requestTimeout,
		Transport: patient{&http.Transport{ // and no proxy
			DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout: connectTimeout,
			IdleConnTimeout:     time.Minute,
		}},
		CheckRedirect: onlyReading,
	}}, nil
}

// isAddress tells whether a text is a URL of HTTP, without a user and a fragment.
func isAddress(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != "" && parsed.User == nil && parsed.Fragment == ""
}

// onlyReading follows redirects of what reads: what had another name is found. All else
// would become a read, and look done.
func onlyReading(request *http.Request, via []*http.Request) error {
	if via[0].Method != http.MethodGet || request.URL.Host != via[0].URL.Host || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// session is a client for one call of a port: the SDK keeps the context in its client.
type session struct {
	*sdk.Client

	forge *Forge
	ctx   context.Context
}

// connect is who makes repositories.
func (f *Forge) connect(ctx context.Context) (*session, error) {
	return f.connectAs(ctx, sdk.SetToken(f.config.Token))
}

func (f *Forge) connectAs(ctx context.Context, who sdk.ClientOption) (*session, error) {
	version, err := f.ask(ctx)
	if err != nil {
		return nil, err
	}
	client, err := f.newClient(ctx, version, who)
	if err != nil {
		return nil, err
	}
	return &session{Client: client, forge: f, ctx: ctx}, nil
}

// newClient makes a client that does not connect. The SDK leaves out what a version does not
// have, and nothing where it is "".
func (f *Forge) newClient(ctx context.Context, version string, who sdk.ClientOption) (*sdk.Client, error) {
	return sdk.NewClient(f.config.URL, sdk.SetGiteaVersion(version), sdk.SetContext(ctx), sdk.SetHTTPClient(f.client), who)
}

// ask asks Gitea for its version, once.
func (f *Forge) ask(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked {
		return f.version, nil
	}
	client, err := f.newClient(ctx, "", sdk.SetToken(f.config.Token))
	if err != nil {
		return "", err
	}
	version, response, err := client.ServerVersion()
	if err != nil {
		return "", failed("ask Gitea for its version", response, err)
	}
	if _, err := f.newClient(ctx, version, sdk.SetToken(f.config.Token)); err == nil {
		f.version = version
	}
	f.asked = true
	return f.version, nil
}

// digestOf is what is in all names and marks of a project: 20 of 0-9 and a-f.
func (f *Forge) digestOf(slug string) string {
	sum := sha256.Sum256([]byte(f.config.Installation + "\x00" + slug))
	return hex.EncodeToString(sum[:10])
}

// topicOf is the mark of a project's repository and of its deploy key.
func (f *Forge) topicOf(slug string) string { return "rdev-" + f.digestOf(slug) }

// descriptionOf is what a repository has when it is made.
func (f *Forge) descriptionOf(slug string) string {
	return "rdev project " + slug + " of installation " + f.config.Installation
}

// userOf is the name of a project's user, of at most 40 of a-z, 0-9 and single hyphens. Two
// slugs, or two installations, never share one: the digest tells them apart.
func (f *Forge) userOf(slug string) string {
	short := strings.Join(strings.FieldsFunc(slug[:min(len(slug), 22)], func(r rune) bool { return r == '-' }), "-")
	return "rdev-" + short + "-" + f.digestOf(slug)[:12]
}

// fullNameOf and addressOf are the mark of a project's user. Nobody gets mail there.
func (f *Forge) fullNameOf(slug string) string {
	return "rdev project " + slug + ", " + f.topicOf(slug)
}

func (f *Forge) addressOf(slug string) string { return f.topicOf(slug) + "@rdev.invalid" }
