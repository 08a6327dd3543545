package testkit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// GiteaServer is a Gitea. It delivers webhooks to this machine.
type GiteaServer struct {
	URL       string
	Token     string // of an administrator, for everything
	KnownHost string // the line of its SSH server for a known_hosts

	log     string
	process *exec.Cmd // it ends with its standard input, which is open as long as this is
}

// gitea is the one of this test process, with which it ends, and all that is in it.
var gitea struct {
	sync.Once

	server GiteaServer
	err    error
}

// giteaStart bounds the start of a Gitea, on a machine that has other things to do.
const giteaStart = 2 * time.Minute

// Gitea is the Gitea of this test process: what tests make in it needs names of its own,
// and stays. Its program is built first where the cache does not have it, which takes
// minutes: make gitea does it ahead.
func Gitea(t testing.TB) GiteaServer {
	t.Helper()
	gitea.Do(func() {
		gitea.err = errors.New("it was not started")
		gitea.server, gitea.err = startGitea(FreeAddress(t), FreeAddress(t))
	})
	if gitea.err != nil {
		t.Fatalf("start Gitea for the tests: %v", gitea.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Gitea said last:\n%s", gitea.server.said())
		}
	})
	return gitea.server
}

// startGitea starts one that listens for HTTP and SSH at two addresses of this machine.
func startGitea(web, git string) (server GiteaServer, err error) {
	program, err := buildGitea()
	if err != nil {
		return server, err
	}
	dir, err := os.MkdirTemp("", "rdev-gitea-")
	if err != nil {
		return server, err
	}
	server = GiteaServer{URL: "http://" + web, log: filepath.Join(dir, "log")}
	hostKey, err := newHostKey(git)
	if err != nil {
		return server, err
	}
	server.KnownHost = hostKey.known
	settings, err := giteaSettings(program, dir, web, git)
	if err != nil {
		return server, err
	}
	config := filepath.Join(dir, "app.ini")
	log, err := os.Create(server.log)
	if err != nil {
		return server, err
	}
	defer log.Close()
	err = errors.Join(
		os.WriteFile(config, []byte(settings), 0o600),
		os.WriteFile(filepath.Join(dir, "host_key"), hostKey.private, 0o600))
	if err != nil {
		return server, err
	}
	// As the S3 server, and its directory goes with it.
	cmd := exec.Command("sh", "-c", `trap : INT TERM; dir=$1; shift; "$@" & read -r end; kill $!; wait $!; rm -rf "$dir"`, "sh", dir,
		filepath.Join(program, "gitea"), "--config", config, "web")
	cmd.Stdout, cmd.Stderr = log, log // no pipe: the go command would wait for its end
	if _, err := cmd.StdinPipe(); err != nil {
		return server, err
	}
	if err := cmd.Start(); err != nil {
		return server, err
	}
	server.process = cmd
	if err := server.healthy(); err != nil {
		return server, err
	}
	server.Token, err = giteaAdministrator(filepath.Join(program, "gitea"), config)
	return server, err
}

// buildGitea is the directory with the program, as scripts/gitea.sh tells it.
func buildGitea() (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	var output, problem strings.Builder
	cmd := exec.Command(filepath.Join(root, "scripts/gitea.sh"))
	cmd.Stdout, cmd.Stderr = &output, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build it: %w\n%s", err, &problem)
	}
	return strings.TrimSpace(output.String()), nil
}

// giteaSettings is its app.ini: everything is in dir, nothing is slow that tests do not need,
// and a directory of more than ten files comes in pages.
func giteaSettings(program, dir, web, git string) (string, error) {
	host, port, err := net.SplitHostPort(web)
	if err != nil {
		return "", err
	}
	sshHost, sshPort, err := net.SplitHostPort(git)
	if err != nil {
		return "", err
	}
	who, err := user.Current()
	if err != nil {
		return "", err
	}
	jwt := make([]byte, 32)
	_, _ = rand.Read(jwt) // it never fails
	return strings.NewReplacer(
		"$user", who.Username, "$dir", dir, "$static", filepath.Join(program, "static"),
		"$host", host, "$port", port, "$sshHost", sshHost, "$sshPort", sshPort,
		"$secret", rand.Text()+rand.Text(), "$internal", rand.Text(), "$jwt", base64.RawURLEncoding.EncodeToString(jwt),
	).Replace(giteaINI), nil
}

const giteaINI = `
RUN_USER = $user
RUN_MODE = prod
WORK_PATH = $dir
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = $host
HTTP_PORT = $port
DOMAIN = $host
ROOT_URL = http://$host:$port/
STATIC_ROOT_PATH = $static
START_SSH_SERVER = true
SSH_DOMAIN = $sshHost
SSH_PORT = $sshPort
SSH_LISTEN_HOST = $sshHost
SSH_LISTEN_PORT = $sshPort
BUILTIN_SSH_SERVER_USER = git
SSH_SERVER_HOST_KEYS = $dir/host_key
OFFLINE_MODE = true
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
PATH = $dir/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = $dir/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = $secret
INTERNAL_TOKEN = $internal
PASSWORD_HASH_ALGO = pbkdf2$10$50
[api]
DEFAULT_GIT_TREES_PER_PAGE = 10
[oauth2]
JWT_SECRET = $jwt
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
DELIVER_TIMEOUT = 5
[log]
MODE = console
LEVEL = Warn
[cron]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[queue]
TYPE = channel
[session]
PROVIDER = memory
[actions]
ENABLED = false
[packages]
ENABLED = false
[mailer]
ENABLED = false
`

// giteaAdministrator makes one, with a token.
func giteaAdministrator(program, config string) (token string, err error) {
	output, err := exec.Command(program, "--config", config, "admin", "user", "create", "--admin", "--username", "rdev-admin",
		"--random-password", "--email", "admin@example.invalid", "--must-change-password=false",
		"--access-token", "--access-token-name", "tests", "--access-token-scopes", "all").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make an administrator: %w\n%s", err, output)
	}
	_, token, ok := strings.Cut(string(output), "Access token was successfully created... ")
	if !ok {
		return "", fmt.Errorf("make an administrator: no token in\n%s", output)
	}
	token, _, _ = strings.Cut(token, "\n")
	return token, nil
}

// healthy waits until it answers.
func (g GiteaServer) healthy() error {
	client := &http.Client{Timeout: time.Second}
	deadline := time.Now().Add(giteaStart)
	for {
		response, err := client.Get(g.URL + "/api/healthz")
		if err == nil {
			err = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return err
			}
			err = errors.Join(err, errors.New(response.Status))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not in %s: %w\n%s", giteaStart, err, g.said())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// said is the end of its log.
func (g GiteaServer) said() string {
	log, err := os.ReadFile(g.log)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-4000):])
}

// hostKey is that of an SSH server, in the format of OpenSSH. Left to itself Gitea makes
// one that takes seconds.
type hostKey struct {
	private []byte
	known   string
}

func newHostKey(address string) (hostKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return hostKey{}, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return hostKey{}, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return hostKey{}, err
	}
	return hostKey{pem.EncodeToMemory(block), knownhosts.Line([]string{address}, key)}, nil
}
