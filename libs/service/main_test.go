package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/libs/testkit"
)

// beService has this test binary be the program of a service.
const beService = "TEST_BE_SERVICE"

func TestMain(m *testing.M) {
	switch os.Getenv(beService) {
	case "":
		os.Exit(m.Run())
	case "plain":
		service.Main("plain", serveHealth)
	case "stored":
		service.MainWithDatabase("stored", serveHealth, func(_ context.Context, url string) error {
			if url != "postgres://here" {
				return errors.New("no database at " + url)
			}
			return nil
		})
	}
}

type config struct {
	HTTPAddr string `env:"PLAIN_HTTP_ADDR"`
	Needed   string `env:"PLAIN_NEEDED,notEmpty"`
}

func serveHealth(ctx context.Context, cfg config, _ *slog.Logger) error {
	if cfg.Needed == "broken" {
		return errors.New("broken")
	}
	return service.Run(ctx, service.NewHealth("plain", prometheus.NewRegistry()).Part(cfg.HTTPAddr))
}

// program runs as a service with arguments; each of env is NAME=VALUE.
func program(t *testing.T, name, arguments string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(arguments)...)
	cmd.Env = append(env, beService+"="+name)
	return cmd
}

func TestTheArgumentsOfAService(t *testing.T) {
	t.Parallel()
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/health" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(answering.Close)
	failing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(failing.Close)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	address := strings.TrimPrefix(answering.URL, "http://")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, arguments, env string
		code                 int
		stdout, stderr       string // regular expressions
	}{
		{name: "plain", arguments: "healthcheck", env: "PLAIN_HTTP_ADDR=" + address},
		{name: "plain", arguments: "healthcheck", env: "PLAIN_HTTP_ADDR=:" + port},
		{name: "plain", arguments: "healthcheck", env: "PLAIN_HTTP_ADDR=0.0.0.0:" + port},
		{name: "plain", arguments: "healthcheck", env: "PLAIN_HTTP_ADDR=" + failing.Listener.Addr().String(), code: 1, stderr: `plain: http://.*/health answers 404 Not Found`},
		{name: "plain", arguments: "healthcheck", env: "PLAIN_HTTP_ADDR=" + silent.Addr().String(), code: 1, stderr: `plain: .*deadline exceeded.*`},
		{name: "plain", arguments: "healthcheck", env: "PLAIN_HTTP_ADDR=[::]:1", code: 1, stderr: `plain: .*dial tcp \[::1\]:1: .*`},
		{name: "plain", arguments: "healthcheck", env: "PLAIN_HTTP_ADDR=9090", code: 1, stderr: `plain: address 9090: missing port in address`},
		{name: "plain", arguments: "healthcheck", code: 2, stderr: `plain: PLAIN_HTTP_ADDR is not set: the service answers nowhere`},
		{name: "plain", arguments: "migrate", code: 2, stderr: `plain: this service has no database, so there is nothing to migrate`},
		{name: "stored", arguments: "migrate", code: 2, stderr: `stored: STORED_DATABASE_URL is not set`},
		{name: "stored", arguments: "migrate", env: "STORED_DATABASE_URL=postgres://there", code: 1, stderr: `stored: no database at postgres://there`},
		{name: "stored", arguments: "migrate", env: "STORED_DATABASE_URL=postgres://here", stderr: `\{.*"msg":"the schema is up to date","service":"stored"\}`},
		{name: "plain", arguments: "version", stdout: `plain \S+ (\(.*\) )?go1\.\S+ linux/\w+`},
		{name: "plain", arguments: "-h", stdout: `(?s)Usage: plain \[command\].*PLAIN_HTTP_ADDR.*version.*`},
		{name: "stored", arguments: "--help", stdout: `(?s).*migrate .*STORED_DATABASE_URL.*`},
		{name: "plain", arguments: "serve", code: 2, stderr: `(?s)plain: no command is called "serve"\n\nUsage: .*`},
		{name: "plain", arguments: "version now", code: 2, stderr: `(?s).*no command is called "version now".*`},
		{name: "plain", code: 2, stderr: `.*"PLAIN_NEEDED is not set".*|.*PLAIN_NEEDED is not set.*`},
		{name: "plain", env: "PLAIN_NEEDED=broken", code: 1, stderr: `(?s).*"error":"broken".*`},
	} {
		t.Run(c.name+" "+c.arguments+" "+c.env, func(t *testing.T) {
			t.Parallel()
			cmd := program(t, c.name, c.arguments, c.env)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			begin := time.Now()
			if err := cmd.Run(); cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, said := range []struct{ got, want string }{{stdout.String(), c.stdout}, {stderr.String(), c.stderr}} {
				if got := strings.TrimSuffix(said.got, "\n"); !regexp.MustCompile("^(" + said.want + ")$").MatchString(got) {
					t.Errorf("said %q, want %q", got, said.want)
				}
			}
			if took := time.Since(begin); took > 8*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestAServiceThatServesIsHealthyUntilASignalEndsItWith0(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	env := []string{"PLAIN_HTTP_ADDR=:" + port, "PLAIN_NEEDED=x", "HTTP_PROXY=http://127.0.0.1:1"}
	serving := program(t, "plain", "", env...)
	var log bytes.Buffer
	serving.Stderr = &log
	if err := serving.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error { return program(t, "plain", "healthcheck", env...).Run() })
	if err := serving.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serving.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	check := program(t, "plain", "healthcheck", env...)
	check.Stderr = io.Discard
	if err := check.Run(); fmt.Sprint(err) != "exit status 1" {
		t.Errorf("after the end: %v", err)
	}
}
