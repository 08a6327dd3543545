package up_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/testkit"
)

// canaries are values that no place may hold but the run that was given them, and
// the vault, encrypted.
const (
	canary      = `bird "of" prey/4711?&=`
	otherCanary = "-----BEGIN KEY-----\nc2luZ2luZyBpbiB0aGUgc2hhZnQgc2luZ2luZw==\nc2luZ2luZyBpbiB0aGUgZGFyayBzaW5naW5nIQ==\n-----END KEY-----"
)

// traces are how a canary looks in what was told to mask it.
func traces() map[string]string {
	pem := strings.Split(otherCanary, "\n")
	return map[string]string{
		"by its end": "prey/4711", "in base64": base64.StdEncoding.EncodeToString([]byte(canary))[:24],
		"in hex": hex.EncodeToString([]byte(canary)), "a line": pem[1], "another line": pem[2],
	}
}

// search counts what a text holds of the canaries.
func search(t *testing.T, where, text string) {
	t.Helper()
	for how, trace := range traces() {
		if n := strings.Count(text, trace); n > 0 {
			t.Errorf("%s holds a canary %s, %d times", where, how, n)
		}
	}
}

func TestACanaryIsFoundNowhere(t *testing.T) {
	t.Setenv("RDEV_DATABASE_URL", testkit.Postgres(t))
	t.Setenv("RDEV_WEBHOOK_ALLOW", "127.0.0.0/8")
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	for name, value := range map[string]string{"TOKEN": canary, "PEM": otherCanary} {
		if out, stderr, code := i.as("", value, "credentials", "set", name, "-p", "shop"); code != 0 {
			t.Fatalf("%d %q %q", code, out, stderr)
		}
	}
	hooks := i.receiveAll()
	for script, want := range map[string]int{
		`echo "$TOKEN"; echo "$PEM"; echo "$TOKEN" >&2`:                                                               0,
		`printf %s "$TOKEN" | base64; printf 'x%s' "$TOKEN" | base64; printf %s "$TOKEN" | od -An -tx1 | tr -d ' \n'`: 0,
		`printf %.9s "$TOKEN"; sleep 0.3; printf %s "${TOKEN#?????????}"; echo`:                                       0,
		`printf '{"token":"%s"}\n' "$(printf %s "$TOKEN" | sed 's/"/\\"/g')"; exit 3`:                                 3,
		`cat /proc/*/cmdline | tr '\0' ' '`:                                                                           0,
	} {
		out, code := i.rdev("run", "-p", "shop", "--credential", "TOKEN", "--credential", "PEM", "--", "sh", "-c", script)
		if code != want {
			t.Errorf("%s: exit code %d, want %d", script, code, want)
		}
		search(t, "the output of "+script, out)
	}
	testkit.Eventually(t, func() error {
		if n := hooks.count("operation.failed"); n < 1 {
			return errors.New("no webhook of the failure came")
		}
		return nil
	})
	search(t, "a webhook", hooks.text())
	search(t, "the log of rdev up", i.output.String())
	i.eachStream(t, func(where, text string) { search(t, where, text) })
	searchDatabase(t, os.Getenv("RDEV_DATABASE_URL"))
	i.stop()
	i.eachFile(t, func(where, text string) { search(t, where, text) })
}

// received is all that a webhook was sent.
type received struct {
	mu   sync.Mutex
	said strings.Builder
	kind map[string]int
}

func (r *received) count(kind string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kind[kind]
}

func (r *received) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

// receiveAll registers an endpoint for everything.
func (i *instance) receiveAll() *received {
	i.t.Helper()
	r := &received{kind: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		fmt.Fprintf(&r.said, "%v\n%s\n", request.Header, body)
		eventType := strings.TrimSuffix(strings.TrimPrefix(request.Header.Get("Ce-Type"), "ai.orchard9.rdev."), ".v1")
		r.kind[eventType]++
	}))
	i.t.Cleanup(server.Close)
	key, err := os.ReadFile(i.APIKeyFile)
	if err != nil {
		i.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(i.t.Context(), http.MethodPost, i.URL+"/webhooks", strings.NewReader(`{"url":"`+server.URL+`","events":["*"]}`))
	if err != nil {
		i.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", strings.TrimSpace(string(key)))
	response, err := (&http.Client{Timeout: testkit.Patience}).Do(request)
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		i.t.Fatalf("the webhook: %s", response.Status)
	}
	return r
}

// eachStream reads every message of every stream.
func (i *instance) eachStream(t *testing.T, see func(where, text string)) {
	t.Helper()
	nc, err := nats.Connect(i.NATSURL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for name := range js.StreamNames(t.Context()).Name() {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		state := stream.CachedInfo().State
		for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
			m, err := stream.GetMsg(t.Context(), seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&all, "%s %v\n%s\n", m.Subject, m.Header, m.Data)
			read++
		}
		see("stream "+name, all.String())
	}
	if read < 20 {
		t.Errorf("only %d messages were there to read", read)
	}
}

// searchDatabase reads every row of every table.
func searchDatabase(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 8 {
		t.Fatalf("tables %q, %v", tables, err)
	}
	for _, table := range tables {
		rows, err := conn.Query(t.Context(), `select t::text from `+table+` as t`)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		search(t, "table "+table, strings.Join(lines, "\n"))
	}
}

// eachFile reads what is left in the home.
func (i *instance) eachFile(t *testing.T, see func(where, text string)) {
	t.Helper()
	err := filepath.WalkDir(i.home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		see(path, string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
