package up_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// as runs a command line with an API key, and with a text as its stdin.
func (i *instance) as(key, stdin string, args ...string) (stdout, stderr string, code int) {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), filepath.Join(binaries, "rdev"), args...)
	cmd.Env = append(os.Environ(), "RDEV_HOME="+i.home, "RDEV_API_KEY="+key)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// refuses wants exit code 1 with the words.
func (i *instance) refuses(key, words string, args ...string) {
	i.t.Helper()
	if _, stderr, code := i.as(key, "x", args...); code != 1 || !strings.Contains(stderr, words) {
		i.t.Errorf("rdev %s: %d %q, want %q", strings.Join(args, " "), code, stderr, words)
	}
}

func TestKeysAreMadeTurnedAndRevoked(t *testing.T) {
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	create := func(args ...string) string {
		return strings.TrimSpace(i.must(append([]string{"keys", "create"}, args...)...))
	}
	ci := create("ci", "--scope", "projects:read,commands:run,operations:read", "--project", "shop", "--allow-ip", "127.0.0.0/8", "--expires", "1h")
	if out, stderr, code := i.as(ci, "", "run", "-p", "shop", "--", "echo", "hi"); code != 0 || out != "hi\n" {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if out, _, _ := i.as(ci, "", "keys", "get", "self"); !strings.Contains(out, "name        ci\n") || !strings.Contains(out, "from        127.0.0.0/8\n") {
		t.Errorf("it is\n%s", out)
	}
	i.refuses(ci, `the API key "ci" has not the scope keys:admin (SCOPE_MISSING)`, "keys", "list")
	i.refuses(ci, `the API key "ci" is for other projects: shop (PROJECT_NOT_ALLOWED)`, "projects", "get", "other")
	i.refuses(create("away", "--scope", "admin", "--allow-ip", "192.0.2.0/24"), "(IP_NOT_ALLOWED)", "projects", "list")

	next := strings.TrimSpace(i.must("keys", "rotate", "ci", "--overlap", "0s"))
	i.refuses(ci, "this secret of the API key ended on", "projects", "list")
	if _, stderr, code := i.as(next, "", "projects", "list"); code != 0 {
		t.Errorf("%d %q", code, stderr)
	}
	if out := i.must("keys", "list"); !strings.Contains(out, "  ci ") || !strings.Contains(out, " projects:read, commands:run, operations:read  shop ") {
		t.Errorf("the list is\n%s", out)
	}
	i.must("keys", "revoke", "ci")
	i.refuses(next, "(KEY_REVOKED)", "projects", "list")
	if out := i.must("keys", "list", "-o", "json"); !strings.Contains(out, `"state": "revoked"`) {
		t.Errorf("the list is\n%s", out)
	}

	// What is completed is what the gateway knows.
	_, stderr, _ := i.as("", "", "keys", "create", "x", "--scope", "nonsense")
	_, known, _ := strings.Cut(stderr, `"nonsense" is no scope; there are `)
	known, _, _ = strings.Cut(known, "\n")
	completed := strings.FieldsFunc(i.must("__complete", "keys", "create", "x", "--scope", ""), func(r rune) bool { return r == '\n' })
	completed = slices.DeleteFunc(completed, func(s string) bool { return strings.HasPrefix(s, ":") || strings.HasSuffix(s, ":*") })
	if got := strings.Join(completed, ", "); strings.TrimSuffix(known, " (INVALID_REQUEST)") != got {
		t.Errorf("completed are\n%s, and the gateway knows\n%s", got, known)
	}
	i.stop()
}

func TestACommandFindsItsCredentialsAndNobodySeesThem(t *testing.T) {
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	const canary = "canary-7f3a91 \"c\" $x"
	set := func(value string, args ...string) {
		t.Helper()
		if out, stderr, code := i.as("", value, append([]string{"credentials", "set"}, args...)...); code != 0 || strings.Contains(out, "canary") {
			t.Errorf("%v: %d %q %q", args, code, out, stderr)
		}
	}
	set(canary+"\n", "TOKEN", "-p", "shop")
	set("canary-of-all", "NPM_TOKEN", "--for", "sh*")
	set("canary-of-none", "ALONE")
	if out := i.must("run", "-p", "shop", "--credential", "TOKEN", "--credential", "NPM_TOKEN", "--",
		"sh", "-c", `[ "$TOKEN" = "$1" ] && [ "$NPM_TOKEN" = canary-of-all ] && echo "found $TOKEN"`, "sh", canary); out != "found [redacted:TOKEN]\n" {
		t.Errorf("it says %q", out)
	}
	if out, code := i.rdev("run", "-p", "shop", "--credential", "ALONE", "--", "true"); code != 1 {
		t.Errorf("%d %q", code, out)
	}
	set(canary, "TOKEN", "-p", "shop")
	if out := i.must("credentials", "list", "-p", "shop"); !strings.Contains(out, "TOKEN  shop      2 ") || strings.Contains(out, "canary") {
		t.Errorf("the list is\n%s", out)
	}
	i.refuses("", "name must not begin with RDEV_", "credentials", "set", "RDEV_TOKEN")
	key := strings.TrimSpace(i.must("keys", "create", "ci", "--scope", "credentials:*", "--project", "shop"))
	i.refuses(key, "(PROJECT_NOT_ALLOWED)", "credentials", "list")
	i.refuses(key, "(SCOPE_MISSING)", "credentials", "rotate-master")
	if _, stderr, code := i.as(key, "", "credentials", "delete", "TOKEN", "-p", "shop"); code != 0 {
		t.Errorf("%d %q", code, stderr)
	}
	i.refuses(key, "project shop has no credential TOKEN (NOT_FOUND)", "credentials", "delete", "TOKEN", "-p", "shop")
	masters := filepath.Join(i.home, "master-key")
	before, err := os.ReadFile(masters)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(masters, append([]byte(base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text())[:32])+"\n"), before...), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := i.must("credentials", "rotate-master"); !strings.Contains(out, " 1 wrapped again, 0 were already") {
		t.Errorf("it says %q", out)
	}

	// A file of them goes the same way.
	file := filepath.Join(i.home, ".secrets")
	if err := os.WriteFile(file, []byte("# of shop\nFIRST='one two'\nexport SECOND=\"a\\nb\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "load-credentials.sh"), "--project", "shop", file)
	load.Env = append(os.Environ(), "RDEV_HOME="+i.home, "PATH="+binaries+":"+os.Getenv("PATH"))
	if out, err := load.CombinedOutput(); err != nil || string(out) != "loaded FIRST of project shop\nloaded SECOND of project shop\n" {
		t.Errorf("%v %s", err, out)
	}
	i.must("run", "-p", "shop", "--credential", "FIRST", "--credential", "SECOND", "--",
		"sh", "-c", `[ "$FIRST" = 'one two' ] && [ "$(echo $SECOND)" = 'a b' ]`)
	i.stop()
}
