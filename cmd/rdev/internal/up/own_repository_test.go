package up_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// does has an operation completed, and returns what it said.
func (i *instance) does(path, body string) string {
	i.t.Helper()
	var op contract.Operation
	if err := i.request(http.MethodPost, path, body, &op); err != nil {
		i.t.Fatal(err)
	}
	testkit.Eventually(i.t, func() error {
		err := i.request(http.MethodGet, "/operations/"+op.ID, "", &op)
		if err == nil && !op.State.Ended() {
			err = fmt.Errorf("%s is %s", body, op.State)
		}
		return err
	})
	if op.Kind == contract.KindBuild {
		return string(op.State) + " " + i.must("builds", "output", op.ID)
	}
	out, stderr, _ := i.as("", "", "ops", "output", op.ID)
	if out += stderr; op.State != contract.Completed {
		i.t.Fatalf("%s is %s, %+v: %s", body, op.State, op.Failure, out)
	}
	return out
}

func TestTheRepositoryOfAProjectIsClonedPushedAndBuiltWithoutAnyCredential(t *testing.T) {
	home, elsewhere := t.TempDir(), t.TempDir()
	i := start(t, home)
	i.does("/projects", `{"slug":"shop","template":"go-api"}`)
	var project struct {
		Repository struct {
			CloneURL string `json:"clone_url"`
		}
	}
	if err := i.request(http.MethodGet, "/projects/shop", "", &project); err != nil || project.Repository.CloneURL != i.URL+"/git/shop.git" {
		t.Fatalf("the project is %+v, %v", project, err)
	}
	tokens := map[string]string{}
	// keep takes the token out of the vault as a command does, and leaves no trace of it.
	keep := func(name string) (token string) {
		t.Helper()
		i.does("/projects/shop/commands", `{"kind":"shell","script":"printf %s \"$REPOSITORY_TOKEN\" >token","credentials":["REPOSITORY_TOKEN"]}`)
		path := filepath.Join(home, "workspaces", "shop", "workspace", "token")
		text, err := os.ReadFile(path)
		if err = errors.Join(err, os.Remove(path)); err != nil || len(text) < 20 {
			t.Fatalf("the token has %d bytes, %v", len(text), err)
		}
		tokens[name] = string(text)
		return string(text)
	}
	clone := func(token, name string) error {
		address := strings.Replace(project.Repository.CloneURL, "http://", "http://rdev:"+token+"@", 1)
		cmd := exec.CommandContext(t.Context(), "git", "clone", "-q", address, filepath.Join(elsewhere, name))
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	push := func(line string) {
		t.Helper()
		i.does("/projects/shop/commands", fmt.Sprintf(`{"kind":"shell","script":"echo %s >>NOTES"}`, line))
		i.does("/projects/shop/commands", `{"kind":"git","verb":"commit","message":"Note it"}`)
		if out := i.does("/projects/shop/commands", `{"kind":"git","verb":"push"}`); !strings.Contains(out, "To "+project.Repository.CloneURL+"\n") {
			t.Errorf("the push says %q", out)
		}
	}
	notes := func(token, name, want string) {
		t.Helper()
		if err := clone(token, name); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(elsewhere, name, "NOTES")); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}

	i.does("/projects/shop/commands", `{"kind":"git","verb":"clone"}`)
	push("one")
	first := keep("first")
	notes(first, "a", "one\n")
	// All that a command could find out about the token is masked in what it says.
	if out := i.does("/projects/shop/commands", `{"kind":"shell","script":"env; cat .git/config; git fetch -v; git config --list","credentials":["REPOSITORY_URL","REPOSITORY_USER","REPOSITORY_TOKEN"]}`); !strings.Contains(out, "REPOSITORY_TOKEN=[redacted:REPOSITORY_TOKEN]\n") ||
		!strings.Contains(out, "GIT_CONFIG_VALUE_0=Authorization: Basic [redacted:REPOSITORY_TOKEN:basic]\n") || !strings.Contains(out, "From "+strings.TrimSuffix(project.Repository.CloneURL, ".git")) {
		t.Errorf("the command says %s", out)
	}

	for _, args := range [][]string{{"-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "Of another"}, {"push", "-q"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = filepath.Join(elsewhere, "a")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out := i.does("/projects/shop/commands", `{"kind":"git","verb":"pull"}`); !strings.Contains(out, "Fast-forward\n") {
		t.Errorf("the pull says %q", out)
	}

	if out := i.does("/work", `{"kind":"test","project":"shop","repository":{"ref":"main"},"argv":["cat","NOTES"]}`); !strings.HasPrefix(out, "one\n") {
		t.Errorf("the work says %q", out)
	}
	build := func() string {
		return i.does("/builds", `{"project":"shop","spec":{"repository":{"ref":"main"},"steps":[{"name":"one","run":"cat NOTES"},{"name":"two","run":"git fetch -q --unshallow && git log --format=%s"}]}}`)
	}
	if out := build(); !strings.HasPrefix(out, "completed ") || !strings.Contains(out, "[one] one\n") || !strings.Contains(out, "[two] Note it\n") {
		t.Errorf("the build says %q", out)
	}

	i.does("/projects/shop/repository/rotate", "")
	if err := clone(first, "b"); err == nil {
		t.Error("the token before opens it")
	}
	push("two")
	notes(keep("second"), "c", "one\ntwo\n")
	if out := build(); !strings.Contains(out, "[one] two\n") {
		t.Errorf("the build says %q", out)
	}

	look := func(where, text string) {
		for name, token := range tokens {
			if strings.Contains(text, token) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("rdev:"+token))) {
				t.Errorf("the %s token is in %s", name, where)
			}
		}
	}
	i.eachStream(t, look)
	look("the log", i.output.String())
	i.stop()
	i.eachFile(t, look)
}
