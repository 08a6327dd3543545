// Package git keeps the repositories of projects in a directory, for installations that
// have no forge, and serves them over HTTP:
//
//	<dir>/<slug>.git                  a project's own: bare, with the mark in its config
//	<dir>/<slug>.adopted              the name of the repository that it has instead
//	<dir>/<slug>.token                the hash of the token that lets into it
//	<dir>/.rdev-<installation>/       <slug>.<what>.<random>, on its way in or out
//	<dir>/<any other name>            somebody else's, as all that has no mark
//
// The mark is rdev.installation and rdev.project in the config of a repository, and the
// first line of the other two files. What has it got it before it had its name, and is
// moved aside before it is removed: so there is never a half one. No link in the directory
// is ever followed.
package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// branch is that of the repositories made here.
const branch = "main"

const (
	// defaultMaxPush is in bytes.
	defaultMaxPush = 2 << 30
	// defaultProcesses is how many requests git answers at a time.
	defaultProcesses = 8
	// turnTimeout is how long a request waits for its turn: git does not ask again.
	turnTimeout = 15 * time.Second
	// idleTimeout is how long a client may send nothing, or take nothing.
	idleTimeout = time.Minute
)

var installationPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// Config says where the repositories are.
type Config struct {
	Dir          string // is made where it is missing
	URL          string // under which Handler is reached, as http://127.0.0.1:8080/git
	Installation string // the id: 1 to 64 of letters, digits and -
	MaxPush      int64  // bytes of one push; 0 for 2 GiB
	Logger       *slog.Logger
}

// Forge implements app.Repositories.
type Forge struct {
	root         *os.Root
	dir          string // absolute, without links
	url          string
	installation string
	maxPush      int64
	program      string // git
	logger       *slog.Logger

	turns       chan struct{} // one for each request that git answers
	turnTimeout time.Duration
	idleTimeout time.Duration
	grace       time.Duration

	mu   sync.Mutex // held by who changes something, but for pushes
	step func()     // for tests: before and after whatever leaves a trace
}

var _ app.Repositories = (*Forge)(nil)

// Open keeps repositories below a directory. It needs git, with what serves HTTP.
func Open(config Config) (*Forge, error) {
	address, err := url.Parse(config.URL)
	switch {
	case config.Dir == "":
		return nil, errors.New("repositories: no directory is named")
	case err != nil, address.Scheme != "http" && address.Scheme != "https", address.Host == "", address.User != nil, address.RawQuery != "", address.Fragment != "":
		return nil, errors.New("repositories: the URL is not of the form http://host:port/path")
	case !installationPattern.MatchString(config.Installation):
		return nil, fmt.Errorf("repositories: the id %q of the installation is not 1 to 64 of letters, digits and -", config.Installation)
	case config.MaxPush < 0:
		return nil, fmt.Errorf("repositories: a push of %d bytes at the most cannot be", config.MaxPush)
	case config.Logger == nil:
		return nil, errors.New("repositories: there is no logger")
	}
	program, err := findGit()
	if err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	dir, root, err := openDir(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	return &Forge{
		root: root, dir: dir, url: strings.TrimRight(config.URL, "/"), installation: config.Installation, maxPush: cmp.Or(config.MaxPush, defaultMaxPush),
		program: program, logger: config.Logger,
		turns: make(chan struct{}, defaultProcesses), turnTimeout: turnTimeout, idleTimeout: idleTimeout, grace: killDelay,
	}, nil
}

func openDir(name string) (dir string, root *os.Root, err error) {
	if dir, err = filepath.Abs(name); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", nil, err
	}
	root, err = os.OpenRoot(dir)
	return dir, root, err
}

// findGit is the path of git, where it has all that is needed of it.
func findGit() (string, error) {
	program, err := exec.LookPath("git")
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return "", fmt.Errorf("git is needed, and is not there; install the package git: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--exec-path")
	cmd.Env = environment(program)
	core, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s does not run: %w", program, err)
	}
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(core)), "git-http-backend")); err != nil {
		return "", fmt.Errorf("git has no http-backend; it is in the package git, or git-daemon: %w", err)
	}
	return program, nil
}

// Close gives the directory back.
func (f *Forge) Close() error { return f.root.Close() }

// path is a name below the directory as git is told it.
func (f *Forge) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// passed tells a test that something may have left a trace, or is about to.
func (f *Forge) passed() {
	if f.step != nil {
		f.step()
	}
}

// repository is one as the port tells it.
func (f *Forge) repository(slug, name, branch string) app.Repository {
	return app.Repository{ID: slug, Name: name, CloneURL: f.url + "/" + slug + ".git", Branch: branch}
}

func ownName(slug string) string     { return slug + ".git" }
func tokenName(slug string) string   { return slug + ".token" }
func adoptedName(slug string) string { return slug + ".adopted" }
