package up_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/cmd/rdev/internal/up"
	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/libs/redis/local"
	"github.com/orchard9/rdev/libs/testkit"
)

// startHere is start in this process, with the Redis that tests have, and where programs
// find Node.js, Go modules and the certificates that this machine has for npm.
func startHere(t *testing.T, home string) (_ *instance, stop func()) {
	t.Helper()
	readable := []string{filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download")}
	if certificates, ok := os.LookupEnv("NODE_EXTRA_CA_CERTS"); ok {
		readable = append(readable, certificates)
	}
	cfg, err := envutil.LoadFrom[up.Config](map[string]string{
		"RDEV_HOME": home, "RDEV_ADDR": "127.0.0.1:0", "RDEV_NATS_ADDR": "127.0.0.1:0", "PATH": testkit.NodePath(t),
		"npm_config_registry": os.Getenv("npm_config_registry"), "EXECUTOR_READABLE": strings.Join(readable, ","),
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Redis, cfg.Runner = testkit.RedisProgram(t), filepath.Join(binaries, "rdev-runner")
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	readied, ended := make(chan up.Ready, 1), make(chan error, 1)
	go func() { ended <- up.Run(ctx, cfg, testkit.Log(t), func(r up.Ready) { readied <- r }) }()
	over := false
	stop = func() {
		if cancel(); over {
			return
		}
		over = true
		if err := <-ended; err != nil {
			t.Errorf("rdev ended: %v", err)
		}
		if left := processesOf(t, home); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
	}
	t.Cleanup(stop)
	select {
	case err := <-ended:
		over = true
		t.Fatalf("rdev ended: %v", err)
		return nil, nil
	case ready := <-readied:
		return &instance{t: t, home: home, Ready: ready}, stop
	}
}

// redis is the first line of what the server of caches answers.
func (i *instance) redis(command ...string) string {
	i.t.Helper()
	var of [2]string
	for n, name := range []string{"port", "password"} {
		text, err := os.ReadFile(filepath.Join(i.home, "redis", name))
		if err != nil {
			i.t.Fatal(err)
		}
		of[n] = strings.TrimSpace(string(text))
	}
	answer, err := local.Ask(i.t.Context(), "127.0.0.1:"+of[0], local.Admin, of[1], command...)
	if err != nil {
		i.t.Fatal(err)
	}
	return answer
}

// route is the status of what answers at a label below localhost.
func (i *instance) route(label string) int {
	i.t.Helper()
	request, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.URL, http.NoBody)
	if err != nil {
		i.t.Fatal(err)
	}
	request.Host = label + ".localhost"
	client := &http.Client{Timeout: testkit.Patience}
	response, err := client.Do(request)
	if err != nil {
		i.t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, response.Body)
	if _ = response.Body.Close(); err != nil {
		i.t.Fatal(err)
	}
	return response.StatusCode
}
