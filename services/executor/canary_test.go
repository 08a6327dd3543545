package executor_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/crypto/nacl/box"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/executor"
)

// vault answers as the provisioner does, and keeps what it was asked.
type vault struct {
	*world
	values map[string]string

	mu    sync.Mutex
	asked []contract.OpenCredentials
}

func serveVault(w *world, values map[string]string) *vault {
	w.Helper()
	v := &vault{world: w, values: values}
	requests, err := w.conn.Serve(testkit.Log(w))
	if err == nil {
		err = bus.Answer(requests, contract.VerbOpenCredentials, v.open)
	}
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (v *vault) open(ctx context.Context, ask contract.OpenCredentials) (contract.SealedCredentials, error) {
	v.mu.Lock()
	v.asked = append(v.asked, ask)
	v.mu.Unlock()
	op, err := v.conn.Load(ctx, ask.Operation)
	if err != nil {
		return contract.SealedCredentials{}, err
	}
	if op.State != contract.Running || op.Attempt != ask.Attempt {
		return contract.SealedCredentials{}, &contract.Error{Code: contract.CodeConflict, Detail: "it is not running"}
	}
	named := map[string]string{}
	for _, name := range op.Command.Credentials {
		value, ok := v.values[name]
		if !ok {
			return contract.SealedCredentials{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no credential " + name}
		}
		named[name] = value
	}
	text, err := json.Marshal(named)
	if err != nil {
		return contract.SealedCredentials{}, err
	}
	sealed, err := box.SealAnonymous(nil, text, (*[32]byte)(ask.PublicKey), rand.Reader)
	return contract.SealedCredentials{Box: sealed}, err
}

// needles are what must be nowhere of a value: it, what of it was printed by
// itself, and its common forms.
func needles(value string) []string {
	quoted, _ := json.Marshal(value) // no string fails
	half := len(value) / 2
	all := []string{
		value, value[:half], value[half:], strings.Trim(string(quoted), `"`), hex.EncodeToString([]byte(value)),
		base64.StdEncoding.EncodeToString([]byte(value))[:76],
	}
	for before := 1; before < 3; before++ { // as part of something that was encoded
		encoded := base64.StdEncoding.EncodeToString([]byte("::"[:before] + value))
		all = append(all, encoded[4:len(encoded)-4])
	}
	return all
}

// found are the needles of values in a text, also where it is broken into lines.
func found(text []byte, values map[string]string) (names []string) {
	unbroken := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\n"), nil), []byte("\r"), nil)
	for name, value := range values {
		for i, needle := range needles(value) {
			if bytes.Contains(text, []byte(needle)) || bytes.Contains(unbroken, []byte(needle)) {
				names = append(names, fmt.Sprintf("%s (form %d)", name, i))
			}
		}
	}
	return names
}

// overhear keeps all that goes over NATS in the clear, requests and replies too. No
// executor may be replaced meanwhile: the server takes it for the one that is gone.
func (w *world) overhear() func() []byte {
	w.Helper()
	nc, err := nats.Connect(w.nats.URL())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(nc.Close)
	var mu sync.Mutex
	var all bytes.Buffer
	if _, err = nc.Subscribe(">", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&all, "%s %v %s\n", m.Subject, m.Header, m.Data)
	}); err == nil {
		err = nc.Flush()
	}
	if err != nil {
		w.Fatal(err)
	}
	return func() []byte {
		if err := nc.Flush(); err != nil {
			w.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(all.Bytes())
	}
}

// stored is every message of a stream, and all their data in a row.
func (w *world) stored(stream string) (messages [][]byte, row []byte) {
	w.Helper()
	nc, err := nats.Connect(w.nats.URL())
	if err != nil {
		w.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		w.Fatal(err)
	}
	s, err := js.Stream(w.Context(), stream)
	if err != nil {
		w.Fatal(err)
	}
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(w.Context(), seq)
		if err != nil {
			w.Fatal(err)
		}
		messages = append(messages, fmt.Appendf(nil, "%s %v %s", m.Subject, m.Header, m.Data))
		row = append(row, m.Data...)
	}
	return messages, row
}

// searchProcesses looks at the arguments of every process.
func searchProcesses(t *testing.T, values map[string]string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, path := range paths {
		text, _ := os.ReadFile(path) // it may be gone
		if names := found(text, values); len(names) > 0 {
			t.Errorf("%s of %q holds %v", path, text, names)
		}
	}
}

// searchFiles looks into every file below a directory but for spools.
func searchFiles(t *testing.T, dir string, values map[string]string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == "spool" {
			return nil
		}
		text, _ := os.ReadFile(path)
		if names := found(text, values); len(names) > 0 {
			t.Errorf("%s holds %v", path, names)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// logs collects what a service logs.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) run(ctx context.Context, cfg executor.Config, _ *slog.Logger) error {
	return executor.Run(ctx, cfg, slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// canaries are two secrets: of one line with characters that are escaped, and of
// several lines.
func canaries() map[string]string {
	key := "-----BEGIN PRIVATE KEY-----\n"
	for range 4 {
		random := make([]byte, 48)
		_, _ = rand.Read(random) // never fails
		key += base64.StdEncoding.EncodeToString(random) + "\n"
	}
	return map[string]string{
		"TOKEN": "cnry-" + rand.Text() + `/"<é&\+ ` + rand.Text() + rand.Text(),
		"KEY":   key + "-----END PRIVATE KEY-----\n",
		"PLAIN": "cnry-" + rand.Text() + rand.Text() + rand.Text(),
	}
}

// tell is a script that tells its secrets in many ways once it is let go.
const tell = `: >begun
while [ ! -e go ]; do sleep 0.05; done
printf %s "$TOKEN" | sha256sum
printf %s "$KEY" | sha256sum
echo "raw $TOKEN, $TOKEN$TOKEN"
rest=${TOKEN#????????????????????}
printf %s "split ${TOKEN%"$rest"}"; sleep 0.3; printf '%s\n' "$rest"
printf %s "err ${TOKEN%"$rest"}" >&2; sleep 0.3; printf '%s\n' "$rest" >&2
printf %s "$TOKEN" | base64
printf %s ":$TOKEN" | base64 -w 0; echo
printf %s "::$TOKEN" | base64 >&2
printf %s "$TOKEN" | od -An -v -tx1 | tr -d ' \n'; echo
echo "$KEY"
printf '%s\r\n' "$KEY" | base64
printf %s "the end $TOKEN" >&2
exit 3`

func TestNoSecretOfACommandIsAnywhereButInItsEnvironment(t *testing.T) {
	w := newWorld(t)
	values := canaries()
	serveVault(w, values)
	heard, logged := w.overhear(), &logs{}
	testkit.Serve(t, logged.run, w.config())
	cmd := script(tell)
	cmd.Credentials = []string{"TOKEN", "KEY"}
	cmd.Env = map[string]string{"TOKEN": "of the command"}
	op := w.ask(contract.KindShell, cmd)
	testkit.Eventually(t, func() error {
		_, err := os.Stat(filepath.Join(w.workspace, "begun"))
		return err
	})
	searchProcesses(t, values)
	searchFiles(t, filepath.Dir(filepath.Dir(w.workspace)), values)
	if err := os.WriteFile(filepath.Join(w.workspace, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for state := contract.Running; !state.Ended(); time.Sleep(20 * time.Millisecond) {
		searchProcesses(t, values)
		now, err := w.conn.Load(t.Context(), op.ID)
		if err != nil {
			t.Fatal(err)
		}
		state = now.State
	}
	end, out := w.ended(op)
	if end.State != contract.Failed || *end.ExitCode != 3 {
		t.Errorf("%s, %+v", end.State, end.Failure)
	}
	for _, name := range []string{"TOKEN", "KEY"} {
		if sum := sha256.Sum256([]byte(values[name])); !strings.Contains(out, hex.EncodeToString(sum[:])) {
			t.Errorf("the command saw another value of %s", name)
		}
	}
	for _, want := range []string{
		"raw [redacted:TOKEN], [redacted:TOKEN][redacted:TOKEN]\n", "split [redacted:TOKEN]\n", "err [redacted:TOKEN]\n", "the end [redacted:TOKEN]",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the output:\n%s", want, out)
		}
	}
	searchAll(t, w, logged, values)
	searchHeard(t, heard(), values)
}

// searchHeard looks into what went over NATS.
func searchHeard(t *testing.T, heard []byte, values map[string]string) {
	t.Helper()
	if names := found(heard, values); len(names) > 0 || !bytes.Contains(heard, []byte(contract.VerbOpenCredentials)) {
		t.Errorf("heard on NATS, in %d bytes: %v", len(heard), names)
	}
}

// searchAll looks into all that is stored and logged.
func searchAll(t *testing.T, w *world, logged *logs, values map[string]string) {
	t.Helper()
	for _, stream := range []string{contract.StreamEvents, contract.StreamOutput, contract.StreamCommands} {
		messages, row := w.stored(stream)
		for _, message := range append(messages, row) {
			if names := found(message, values); len(names) > 0 {
				t.Errorf("a message of %s holds %v: %.2000q", stream, names, message)
			}
		}
		t.Logf("%s: %d messages, %d bytes", stream, len(messages), len(row))
	}
	logged.mu.Lock()
	defer logged.mu.Unlock()
	if names := found(logged.text.Bytes(), values); len(names) > 0 || logged.text.Len() == 0 {
		t.Errorf("logged: %v in\n%s", names, logged.text.String())
	}
}

// teller is an agent's CLI that tells a secret wherever it can.
const teller = `#!/bin/sh
read -r prompt
half=${PLAIN%????????????????????}
cat <<END
{"type":"system","subtype":"init","session_id":"s","cwd":"/$PLAIN"}
{"type":"assistant","message":{"id":"1","content":[{"type":"text","text":"it is $PLAIN"},{"type":"tool_use","id":"t","name":"Bash","input":{"command":"echo $PLAIN"}}]}}
{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"$(printf %s "$PLAIN" | base64 -w 0)"}]}}
$PLAIN is no JSON
END
printf '{"type":"unheard-of","value":"%s' "$half"; printf %s "warning: $half" >&2
sleep 0.3
printf '%s"}\n' "${PLAIN#"$half"}"; echo "${PLAIN#"$half"}" >&2
echo '{"type":"result","subtype":"error","is_error":true,"result":"'"$PLAIN was refused"'","num_turns":1,"session_id":"s"}'
cat >/dev/null
exit 1`

func TestNoSecretOfAnAgentIsInWhatItTells(t *testing.T) {
	w := newWorld(t)
	values := canaries()
	serveVault(w, values)
	heard, logged := w.overhear(), &logs{}
	cfg, bin := w.config(), filepath.Join(filepath.Dir(w.workspace), "bin")
	cfg.Path = bin + ":/usr/bin:/bin"
	if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "claude"), []byte(teller), 0o755)); err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, logged.run, cfg)
	end, out := w.ended(w.ask(contract.KindAgent, contract.Command{
		Agent: &contract.Agent{Provider: "claude-code", Prompt: "tell me"}, Credentials: []string{"PLAIN"},
	}))
	if end.State != contract.Failed || end.Failure.Message != "[redacted:PLAIN] was refused" {
		t.Errorf("%s, %+v", end.State, end.Failure)
	}
	if n := strings.Count(out, "[redacted:PLAIN]"); n < 8 {
		t.Errorf("%d masks in:\n%s", n, out)
	}
	searchAll(t, w, logged, values)
	searchHeard(t, heard(), values)
}

func TestASecondExecutorMasksTheCommandThatItJoins(t *testing.T) {
	w := newWorld(t)
	values := canaries()
	v := serveVault(w, values)
	logged := &logs{}
	stop := testkit.Serve(t, logged.run, w.config())
	cmd := script(`half=${PLAIN%????????????????????}; printf %s "begun $half"; while [ ! -e go ]; do sleep 0.05; done; echo "${PLAIN#"$half"} done"`)
	cmd.Credentials = []string{"PLAIN"}
	op := w.ask(contract.KindShell, cmd)
	testkit.Eventually(t, func() error {
		if out := w.printed(op); out != "begun " {
			return fmt.Errorf("it printed %q", out)
		}
		return nil
	})
	stop()
	testkit.Serve(t, logged.run, w.config())
	testkit.Eventually(t, func() error {
		now, err := w.conn.Load(t.Context(), op.ID)
		if err == nil && now.Attempt < 2 {
			err = errors.New("still the first attempt")
		}
		return err
	})
	if err := os.WriteFile(filepath.Join(w.workspace, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	end, out := w.ended(op)
	if end.State != contract.Completed || end.Attempt != 2 || out != "begun [redacted:PLAIN] done\n" {
		t.Errorf("%s in attempt %d, output %q", end.State, end.Attempt, out)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.asked) != 2 || len(v.asked[0].PublicKey) != 32 || slices.Equal(v.asked[0].PublicKey, v.asked[1].PublicKey) {
		t.Errorf("asked %+v; want two keys", v.asked)
	}
	searchAll(t, w, logged, values)
}

func TestACredentialThatIsNotThereFailsTheCommand(t *testing.T) {
	w := newWorld(t)
	serveVault(w, nil)
	testkit.Serve(t, executor.Run, w.config())
	cmd := script("true")
	cmd.Credentials = []string{"TOKEN"}
	op, _ := w.ended(w.ask(contract.KindShell, cmd))
	if op.State != contract.Failed || op.Failure.Class != contract.ClassUser || !strings.Contains(op.Failure.Message, "there is no credential TOKEN") {
		t.Errorf("%s, %+v", op.State, op.Failure)
	}
}
