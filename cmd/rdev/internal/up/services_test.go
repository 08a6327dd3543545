package up_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
)

// The five binaries run as processes of their own, start in any order with a
// role that may only read and write, tell that they are healthy and what version
// they are, carry a command out between them, and end with 0 on SIGTERM.
func TestTheFiveServicesRunAsProcessesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w -X github.com/orchard9/rdev/libs/service.version=v9.8.7", "-o", dir+"/",
		"./services/audit/cmd/audit", "./services/executor/cmd/executor", "./services/gateway/cmd/gateway",
		"./services/notifier/cmd/notifier", "./services/provisioner/cmd/provisioner")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	nats, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Unsynced: true, Log: testkit.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nats.Stop(); err != nil {
			t.Error(err)
		}
	})
	owner, workspaces := testkit.Postgres(t), t.TempDir()
	for _, name := range []string{"audit", "gateway", "notifier", "provisioner"} {
		i := &instance{t: t, cmd: exec.Command(filepath.Join(dir, name))}
		i.cmd.Env = []string{strings.ToUpper(name) + "_DATABASE_URL=" + owner}
		if code, said := i.ask("migrate"); code != 0 {
			t.Fatalf("%s migrate ends with %d: %s", name, code, said)
		}
	}
	reader := readerAndWriter(t, owner, "audit", "gateway", "notifier", "provisioner")
	pepper := testkit.SecretFile(t)
	var running []*instance
	key := ""
	urls := map[string]string{}
	for _, name := range []string{"executor", "audit", "notifier", "provisioner", "gateway"} {
		address := testkit.FreeAddress(t)
		upper := strings.ToUpper(name)
		urls[name] = "http://" + address
		i := &instance{t: t, cmd: exec.Command(filepath.Join(dir, name)), output: &bytes.Buffer{}}
		i.cmd.Env = append(os.Environ(), "NATS_URL="+nats.URL(), upper+"_HTTP_ADDR="+address, upper+"_DATABASE_URL="+reader,
			"PROVISIONER_WORKSPACES="+workspaces, "GATEWAY_KEY_PEPPER_FILE="+pepper, "RDEV_ADDR=127.0.0.1:0",
			"EXECUTOR_RUNNER="+filepath.Join(binaries, "rdev-runner"))
		if name == "gateway" {
			urls["api"] = "http://" + testkit.FreeAddress(t)
			i.cmd.Env = append(i.cmd.Env, "RDEV_ADDR="+strings.TrimPrefix(urls["api"], "http://"))
		}
		i.begin()
		running = append(running, i)
	}
	last := running[len(running)-1] // the gateway: all wait for what it makes here, as another process
	for range 2 {
		if code, said := last.ask("streams"); code != 0 || !strings.Contains(said, "the streams are up to date") {
			t.Fatalf("gateway streams ends with %d: %s", code, said)
		}
	}
	for name, url := range urls {
		testkit.Eventually(t, func() error { return ready(url) })
		t.Logf("%s is ready", name)
	}
	for _, i := range running {
		name := filepath.Base(i.cmd.Path)
		if code, said := i.ask("healthcheck"); code != 0 {
			t.Errorf("%s is not healthy: %s", name, said)
		}
		if code, said := i.ask("version"); code != 0 || !strings.HasPrefix(said, name+" v9.8.7 ") {
			t.Errorf("%s tells as its version: %s", name, said)
		}
		if name == "gateway" {
			code, said := i.ask("bootstrap")
			if key = strings.TrimSpace(said); code != 0 || !strings.HasPrefix(key, "rdev_") {
				t.Fatalf("the first key: %d, %s", code, said)
			}
			if code, said := i.ask("bootstrap"); code != 1 || !strings.Contains(said, "has the admin key") {
				t.Errorf("a second first key: %d, %s", code, said)
			}
		}
		code, said := i.ask("migrate")
		if want := map[string]int{"executor": 2}[name]; code != want {
			t.Errorf("%s migrate ends with %d: %s", name, code, said)
		}
	}
	if version := fetch(t, urls["api"]+"/version"); strings.TrimSpace(version) != `{"version":"v9.8.7"}` {
		t.Errorf("the gateway tells as its version: %s", version)
	}
	post(t, key, urls["api"]+"/projects", `{"slug":"shop"}`)
	op := post(t, key, urls["api"]+"/projects/shop/commands", `{"kind":"shell","argv":["echo","hello"]}`)
	if op["state"] != "completed" {
		t.Errorf("the command: %v", op)
	}
	for _, i := range running {
		i.stop()
	}
}

// readerAndWriter makes a role that may only read and write what is in schemas
// now, and returns the URL with which it connects.
func readerAndWriter(t *testing.T, owner string, schemas ...string) string {
	t.Helper()
	pool, err := database.Open(t.Context(), owner, "public", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	execute := func(statement string) {
		t.Helper()
		if _, err := pool.Exec(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	role, password := "test_"+strings.ToLower(rand.Text()[:16]), rand.Text()
	execute("create role " + role + " login password '" + password + "'")
	t.Cleanup(func() { execute("drop owned by " + role); execute("drop role " + role) })
	for _, schema := range schemas {
		execute("grant usage on schema " + schema + " to " + role)
		execute("grant select, insert, update, delete, truncate on all tables in schema " + schema + " to " + role)
	}
	as, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	as.User = url.UserPassword(role, password)
	return as.String()
}

// ask runs the instance's program once more, with a command.
func (i *instance) ask(command string) (code int, said string) {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), i.cmd.Path, command)
	cmd.Env = i.cmd.Env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		i.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func ready(url string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url + "/ready")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return err
}

func post(t *testing.T, key, url, body string) map[string]any {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", key)
	request.Header.Set("Prefer", "wait=30")
	client := &http.Client{Timeout: 2 * testkit.Patience}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s %v", url, response.Status, answer)
	}
	return answer
}
