package up_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/testkit"
)

// The five binaries run as processes of their own, start in any order, carry a
// command out between them, and end with 0 on SIGTERM.
func TestTheFiveServicesRunAsProcessesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/",
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
	database, workspaces := testkit.Postgres(t), t.TempDir()
	var running []*instance
	urls := map[string]string{}
	for _, name := range []string{"executor", "audit", "notifier", "provisioner", "gateway"} {
		address := freeAddress(t)
		upper := strings.ToUpper(name)
		urls[name] = "http://" + address
		i := &instance{t: t, cmd: exec.Command(filepath.Join(dir, name)), output: &bytes.Buffer{}}
		i.cmd.Env = append(os.Environ(), "NATS_URL="+nats.URL(), upper+"_HTTP_ADDR="+address, upper+"_DATABASE_URL="+database,
			"PROVISIONER_WORKSPACES="+workspaces, "GATEWAY_API_KEY=rdev_test", "RDEV_ADDR=127.0.0.1:0",
			"EXECUTOR_RUNNER="+filepath.Join(binaries, "rdev-runner"))
		if name == "gateway" {
			urls["api"] = "http://" + freeAddress(t)
			i.cmd.Env = append(i.cmd.Env, "RDEV_ADDR="+strings.TrimPrefix(urls["api"], "http://"))
		}
		i.begin()
		running = append(running, i)
	}
	for name, url := range urls {
		testkit.Eventually(t, func() error { return ready(url) })
		t.Logf("%s is ready", name)
	}
	post(t, urls["api"]+"/projects", `{"slug":"shop"}`)
	op := post(t, urls["api"]+"/projects/shop/commands", `{"kind":"shell","argv":["echo","hello"]}`)
	if op["state"] != "completed" {
		t.Errorf("the command: %v", op)
	}
	for _, i := range running {
		i.stop()
	}
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

func post(t *testing.T, url, body string) map[string]any {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "rdev_test")
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

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
