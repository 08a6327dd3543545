package notifier_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const exampleSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY+/w=="

// signed is a request that the library has signed, and what was done to it since.
type signed struct {
	header http.Header
	body   []byte
}

func sign(t *testing.T, secret string, at time.Time, body string) signed {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign("e1", at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return signed{body: []byte(body), header: http.Header{
		"Webhook-Id": {"e1"}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature},
		"Ce-Type": {"ai.orchard9.rdev.operation.completed.v1"}, "Rdev-Seq": {"7"}, "Content-Type": {"application/json"},
	}}
}

// with sets a header.
func (s signed) with(name, value string) signed {
	s.header = s.header.Clone()
	s.header.Set(name, value)
	return s
}

func (s signed) signature() string { return s.header.Get("Webhook-Signature") }

// The examples of docs/webhooks.md take what the library has signed, and nothing else.
func TestTheExamplesOfVerificationWork(t *testing.T) {
	for name, start := range map[string]func(*testing.T) func(*testing.T, signed) bool{
		"Go": goExample, "TypeScript": typeScriptExample, "Python": pythonExample, "shell": shellExample,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			accepts := start(t)
			now := time.Now()
			good := sign(t, exampleSecret, now, `{"id":"op","name":"café"}`)
			other := sign(t, "whsec_YW5vdGhlciBzZWNyZXQ=", now, string(good.body))
			for _, c := range []struct {
				name    string
				request signed
				want    bool
			}{
				{"good", good, true},
				{"without a body", sign(t, exampleSecret, now, ""), true},
				{"no text", sign(t, exampleSecret, now, "\xff\x00\r\n\n{} "), true},
				{"four minutes old", sign(t, exampleSecret, now.Add(-4*time.Minute), "{}"), true},
				{"four minutes ahead", sign(t, exampleSecret, now.Add(4*time.Minute), "{}"), true},
				{"of two secrets, ours the first", good.with("Webhook-Signature", good.signature()+" "+other.signature()), true},
				{"of two secrets, ours the second", good.with("Webhook-Signature", other.signature()+" "+good.signature()), true},
				{"with a signature of another sort", good.with("Webhook-Signature", "v1a,c2ln "+good.signature()), true},

				{"another body", signed{good.header, []byte(`{"id":"op","name":"cafe"}`)}, false},
				{"a longer body", signed{good.header, append(bytes.Clone(good.body), '\n')}, false},
				{"no body any more", signed{good.header, nil}, false},
				{"another id", good.with("Webhook-Id", "e2"), false},
				{"another time", good.with("Webhook-Timestamp", strconv.FormatInt(now.Unix()-1, 10)), false},
				{"another secret", other, false},
				{"six minutes old", sign(t, exampleSecret, now.Add(-6*time.Minute), "{}"), false},
				{"six minutes ahead", sign(t, exampleSecret, now.Add(6*time.Minute), "{}"), false},
				{"without an id", good.with("Webhook-Id", ""), false},
				{"without a time", good.with("Webhook-Timestamp", ""), false},
				{"a time that is none", good.with("Webhook-Timestamp", "now"), false},
				{"a time in another spelling", good.with("Webhook-Timestamp", "1e9"), false},
				{"without a signature", good.with("Webhook-Signature", ""), false},
				{"of another version", good.with("Webhook-Signature", strings.Replace(good.signature(), "v1,", "v2,", 1)), false},
				{"without a version", good.with("Webhook-Signature", strings.TrimPrefix(good.signature(), "v1,")), false},
				{"nothing but a version", good.with("Webhook-Signature", "v1,"), false},
				{"half a signature", good.with("Webhook-Signature", good.signature()[:len(good.signature())/2]), false},
				{"a signature that is none", good.with("Webhook-Signature", "v1,***"), false},
				{"many signatures, none of them right", good.with("Webhook-Signature", strings.Repeat(other.signature()+" ", 20)+"v1"), false},
			} {
				if got := accepts(t, c.request); got != c.want {
					t.Errorf("%s: accepted %t, want %t", c.name, got, c.want)
				}
			}
		})
	}
}

// listening starts an example that listens, and returns a function that tells whether it takes
// a request.
func listening(t *testing.T, command string, args ...string) func(*testing.T, signed) bool {
	t.Helper()
	receiver := exec.CommandContext(t.Context(), command, args...)
	receiver.Env = append(os.Environ(), "ADDR=127.0.0.1:0", "WEBHOOK_SECRET="+exampleSecret)
	receiver.Stderr = t.Output()
	out, err := receiver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Process.Kill(); _ = receiver.Wait() })
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("the example says %q, %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	client := &http.Client{Timeout: 10 * time.Second}
	return func(t *testing.T, s signed) bool {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(s.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = s.header
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("answered %d", response.StatusCode)
		}
		return response.StatusCode == http.StatusNoContent
	}
}

// example is the path of one. It is looked at, so that the test runs again where it
// has changed.
func example(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("../../docs/examples/webhooks", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// needs fails where the machine lacks a program.
func needs(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: apt-get install %s", program, debian)
	}
}

func goExample(t *testing.T) func(*testing.T, signed) bool {
	t.Helper()
	source, program := example(t, "receiver.go"), filepath.Join(t.TempDir(), "receiver")
	for _, args := range [][]string{{"vet", source}, {"build", "-o", program, source}} {
		build := exec.CommandContext(t.Context(), "go", args...)
		build.Env = append(os.Environ(), "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	return listening(t, program)
}

func typeScriptExample(t *testing.T) func(*testing.T, signed) bool {
	t.Helper()
	needs(t, "node", "nodejs")
	source, err := os.ReadFile(example(t, "receiver.ts"))
	if err != nil {
		t.Fatal(err)
	}
	result := api.Transform(string(source), api.TransformOptions{Loader: api.LoaderTS, Format: api.FormatESModule, Sourcefile: "receiver.ts"})
	if len(result.Errors) > 0 || len(result.Warnings) > 0 {
		t.Fatalf("receiver.ts: %v %v", result.Errors, result.Warnings)
	}
	program := filepath.Join(t.TempDir(), "receiver.mjs")
	if err := os.WriteFile(program, result.Code, 0o600); err != nil {
		t.Fatal(err)
	}
	return listening(t, "node", program)
}

func pythonExample(t *testing.T) func(*testing.T, signed) bool {
	t.Helper()
	needs(t, "python3", "python3")
	return listening(t, "python3", example(t, "receiver.py"))
}

func shellExample(t *testing.T) func(*testing.T, signed) bool {
	t.Helper()
	needs(t, "openssl", "openssl")
	program := example(t, "verify.sh")
	return func(t *testing.T, s signed) bool {
		t.Helper()
		verify := exec.CommandContext(t.Context(), "sh", program, s.header.Get("Webhook-Id"), s.header.Get("Webhook-Timestamp"), s.signature())
		verify.Env = append(os.Environ(), "WEBHOOK_SECRET="+exampleSecret)
		verify.Stdin = bytes.NewReader(s.body)
		out, err := verify.CombinedOutput()
		switch code := verify.ProcessState.ExitCode(); {
		case code != 0 && code != 1:
			t.Fatalf("ended with %d, %v: %s", code, err, out)
		case code == 1 && !bytes.ContainsAny(out, "abcdefghijklmnopqrstuvwxyz"):
			t.Errorf("does not say what is wrong")
		}
		return verify.ProcessState.ExitCode() == 0
	}
}
