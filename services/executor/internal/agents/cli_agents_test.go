//go:build agents

package agents_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
	"github.com/orchard9/rdev/services/executor/internal/agents/stubmodel"
)

// patience is how long one run of a CLI may take on a busy machine.
const patience = 4 * time.Minute

// cli runs the real CLI of a provider against a stub of its model.
type cli struct {
	driver agents.Driver
	model  string
	url    string // of the model
	home   string // of all its runs
	dir    string // where it works
	proxy  *proxy // in front of everything but the model
}

// proxy refuses to go anywhere and notes where it was to go.
type proxy struct {
	url   string
	mu    sync.Mutex
	hosts map[string]int
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{hosts: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hosts[r.Host]++
		http.Error(w, "there is no way out of this test", http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// asked are the hosts that were to be reached, and how often.
func (p *proxy) asked() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.hosts)
}

func newCLI(t *testing.T, provider string, model *stubmodel.Model) *cli {
	t.Helper()
	driver, ok := agents.Lookup(provider)
	if !ok {
		t.Fatalf("no agent is called %q", provider)
	}
	server := httptest.NewServer(model)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return &cli{
		driver: driver, url: server.URL, home: filepath.Join(t.TempDir(), "home"), dir: t.TempDir(), proxy: newProxy(t),
		model: map[string]string{"opencode": "stub/stub", "codex": "gpt-5", "gemini": "gemini-2.5-flash"}[provider],
	}
}

// env is what a project's environment would hold: keys, and where models are.
func (c *cli) env(t *testing.T) []string {
	t.Helper()
	info := c.driver.Info()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "rdev", "agents", info.Name+"-"+info.Version, "bin")
	if _, err := os.Stat(filepath.Join(bin, info.Binary)); err != nil {
		t.Fatalf("%v\ninstall it with: scripts/install-agents.sh %s", err, info.Name)
	}
	return []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "TERM=dumb",
		"HTTPS_PROXY=" + c.proxy.url, "HTTP_PROXY=" + c.proxy.url, "NO_PROXY=127.0.0.1",
		"https_proxy=" + c.proxy.url, "http_proxy=" + c.proxy.url, "no_proxy=127.0.0.1",
		"ANTHROPIC_BASE_URL=" + c.url, "ANTHROPIC_API_KEY=dummy",
		"OPENAI_BASE_URL=" + c.url + "/v1", "OPENAI_API_KEY=dummy",
		"GOOGLE_GEMINI_BASE_URL=" + c.url, "GEMINI_API_KEY=dummy",
		`OPENCODE_CONFIG_CONTENT={"enabled_providers":["stub"],"small_model":"stub/stub","provider":{"stub":{` +
			`"npm":"@ai-sdk/openai-compatible","options":{"baseURL":"` + c.url + `/v1","apiKey":"dummy"},` +
			`"models":{"stub":{"tool_call":true,"limit":{"context":200000,"output":8192},` +
			`"cost":{"input":3,"output":15,"cache_read":0.3}}}}}}`,
	}
}

// running is a CLI as a test sees it while it runs.
type running struct {
	launch  agents.Launch
	stdin   io.Writer
	process *os.Process
	parser  *agents.Parser
}

// watcher sees every event; what it returns is why it has ended the run.
type watcher func(contract.AgentEvent, running) agents.Stop

// run runs the CLI to its end, as a supervisor would.
func (c *cli) run(t *testing.T, agent contract.Agent, watch watcher) []contract.AgentEvent {
	t.Helper()
	agent.Provider, agent.Model = c.driver.Info().Name, c.model
	launch := c.driver.Command(agent, agents.Place{Home: c.home, Session: newUUID()})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// env looks the program up in the PATH of the run.
	command := exec.CommandContext(ctx, "/usr/bin/env", launch.Argv...)
	command.Env, command.Dir = slices.Concat(launch.Env, c.env(t)), c.dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	var stdout, stderr bytes.Buffer
	command.Stderr = &stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(launch.Stdin); err != nil {
		t.Errorf("write the prompt: %v", err)
	}
	if !launch.KeepStdin {
		_ = stdin.Close()
	}
	parser, end := c.driver.NewParser(), agents.End{}
	var events []contract.AgentEvent
	buffer := make([]byte, 1<<16)
	for {
		n, err := output.Read(buffer)
		if err != nil {
			break
		}
		stdout.Write(buffer[:n])
		for _, event := range parser.Stdout(buffer[:n], time.Now()) {
			events = append(events, event)
			if watch != nil && end.Stopped == agents.StopNone {
				end.Stopped = watch(event, running{launch: launch, stdin: stdin, process: command.Process, parser: parser})
			}
		}
		if parser.AuthFailed() && end.Stopped == agents.StopNone {
			end.Stopped = agents.StopAuth
			_ = command.Process.Signal(syscall.SIGTERM)
		}
		if parser.Finished() {
			_ = stdin.Close()
		}
	}
	err = command.Wait()
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // of its group, what it left behind
	if ctx.Err() != nil {
		t.Errorf("%s did not end: %v", c.driver.Info().Name, err)
	}
	parser.Stderr(stderr.Bytes())
	if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		end.Signal = map[syscall.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGKILL: "SIGKILL"}[status.Signal()]
	} else {
		code := command.ProcessState.ExitCode()
		end.ExitCode = &code
	}
	events = append(events, parser.Result(end)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%q\nstdout:\n%s\nstderr:\n%s\nevents:\n%s", launch.Argv, &stdout, &stderr, encode(t, events))
		}
	})
	checkRun(t, c.driver.Info().Name, events)
	return events
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
