package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// world is gateways with their neighbors, which the test plays: it appends what
// an executor or the provisioner would, and answers for who keeps tables.
type world struct {
	t    *testing.T
	nats string // URL of the servers
	conn *bus.Conn
	cfg  gateway.Config
	key  string // may do everything
	url  string // of the first gateway
	stop func() // the first gateway

	withoutTable bool // gateways are started while the database is away
}

// newWorld makes the world of one test, which runs beside the others.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return worldOn(t, testkit.NATS(t))
}

// worldOn is newWorld with a server of the test's own.
func worldOn(t *testing.T, server *embedded.Server) *world {
	t.Helper()
	return worldAt(t, server.URL())
}

func worldAt(t *testing.T, nats string) *world {
	t.Helper()
	w := &world{t: t, nats: nats, conn: testkit.Connect(t, nats, contract.ServiceExecutor)}
	w.cfg = gateway.Config{
		NATS: bus.Settings{URL: nats}, DatabaseURL: testkit.Postgres(t), KeyPepper: testkit.SecretFile(t),
		Heartbeat: 50 * time.Millisecond,
	}
	var err error
	if w.key, err = gateway.Bootstrap(t.Context(), w.cfg, false, testkit.Log(t)); err != nil {
		t.Fatal(err)
	}
	w.url, w.stop = w.start()
	return w
}

// start runs one more gateway.
func (w *world) start() (url string, stop func()) {
	w.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	url = "http://" + listener.Addr().String()
	cfg := w.cfg
	cfg.Listener = listener
	stop = testkit.Serve(w.t, gateway.Run, cfg)
	testkit.Eventually(w.t, func() error {
		if a := w.send(call{url: url, method: http.MethodGet, path: "/ready"}); a.status != http.StatusOK {
			return fmt.Errorf("not ready: %s", a.body)
		}
		if a := w.send(call{url: url, method: http.MethodGet, path: "/keys/self", key: domain.NewSecret()}); a.status == http.StatusServiceUnavailable && !w.withoutTable {
			return fmt.Errorf("the table of keys is not read: %s", a.body)
		}
		return nil
	})
	return url, stop
}

// serve answers one verb of a neighbor.
func serve[Request, Reply any](w *world, service, verb string, handle func(Request) (Reply, error)) {
	w.t.Helper()
	conn := testkit.Connect(w.t, w.nats, service)
	answers, err := conn.Serve(testkit.Log(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := bus.Answer(answers, verb, func(_ context.Context, r Request) (Reply, error) { return handle(r) }); err != nil {
		w.t.Fatal(err)
	}
	// Once this is answered the server has the subscription; another process of the
	// service may have been there before.
	if err := conn.NATS().Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// ready puts projects into the log, as the provisioner does.
func (w *world) ready(slugs ...string) {
	w.t.Helper()
	for _, slug := range slugs {
		w.project(slug, contract.TypeProjectCreated)
	}
}

func (w *world) project(slug, eventType string) {
	w.t.Helper()
	// Whoever waits for the event may end the test before this returns.
	_, err := w.conn.UpdateProject(context.WithoutCancel(w.t.Context()), slug, func(prev *contract.Project) (string, contract.Project, error) {
		p := contract.Project{Slug: slug, Template: "default", Runtime: contract.RuntimeLocal, Workspace: "/srv/" + slug, CreatedAt: time.Now().UTC(), UpdatedAt: time.Now().UTC(), Operation: unknownID}
		if prev != nil {
			p = *prev
		}
		return eventType, p, nil
	})
	if err != nil {
		w.t.Error(err)
	}
}

// change appends to an operation, as an executor does.
func (w *world) change(id string, next func(contract.Operation) contract.Change) contract.Operation {
	w.t.Helper()
	op, err := w.conn.Update(context.WithoutCancel(w.t.Context()), id, func(op contract.Operation) (contract.Change, error) { return next(op), nil })
	if err != nil {
		w.t.Error(err)
	}
	return op
}

func (w *world) begin(id string) contract.Operation {
	w.t.Helper()
	return w.change(id, func(op contract.Operation) contract.Change {
		return contract.OperationRunning{Attempt: op.Attempt + 1, Executor: "test", At: time.Now().UTC()}
	})
}

func (w *world) complete(id string) contract.Operation {
	w.t.Helper()
	zero := 0
	return w.change(id, func(op contract.Operation) contract.Change {
		return contract.OperationCompleted{Attempt: op.Attempt, ExitCode: &zero, At: time.Now().UTC()}
	})
}

// stored is the number of events in the log.
func (w *world) stored() uint64 {
	w.t.Helper()
	seq, err := w.conn.LastEvent(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return seq
}

// work takes commands off the lanes, and notes their order; carry decides what
// becomes of each. It ends with the test.
func (w *world) work(carry func(contract.RunOperation)) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	for _, consumer := range []string{contract.ConsumerExecutor, contract.ConsumerProvisioner} {
		wg.Go(func() {
			err := w.conn.Work(ctx, ctx, consumer, 8, testkit.Log(w.t), func(_ context.Context, d bus.Delivery) error {
				carry(d.Command)
				return nil
			})
			if err != nil && ctx.Err() == nil {
				w.t.Error(err)
			}
		})
	}
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

// onLane waits until a lane holds an operation.
func (w *world) onLane(lane contract.Lane, id string) {
	w.t.Helper()
	testkit.Eventually(w.t, func() error {
		cmd, err := w.conn.OnLane(w.t.Context(), lane)
		if err == nil && cmd.Operation != id {
			err = fmt.Errorf("it holds %s, want %s", cmd.Operation, id)
		}
		return err
	})
}

func (w *world) purgeCommands() {
	w.t.Helper()
	w.purge(contract.StreamCommands)
}

// purge empties a stream, as age does with the log.
func (w *world) purge(name string) {
	w.t.Helper()
	stream, err := w.conn.JetStream().Stream(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := stream.Purge(w.t.Context()); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		w.t.Fatal(err)
	}
}

// call is a request; url, key and method have defaults.
type call struct {
	url, method, path, body, key string
	header                       map[string]string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (w *world) send(c call) answer {
	if c.url == "" {
		c.url = w.url
	}
	if c.key == "" {
		c.key = w.key
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(w.t.Context(), c.method, c.url+c.path, bytes.NewReader([]byte(c.body)))
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("X-API-Key", c.key)
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: body, err: err}
}

func (w *world) get(path string) answer { return w.send(call{method: http.MethodGet, path: path}) }

// run posts a shell command and returns the operation.
func (w *world) run(project string) operation {
	w.t.Helper()
	return w.send(call{path: "/projects/" + project + "/commands", body: `{"kind":"shell","argv":["true"]}`}).operation(w.t, http.StatusAccepted)
}

// operation is what a client reads of one.
type operation struct {
	contract.Operation
	Links struct{ Self, Events, Output string } `json:"links"`
}

func (a answer) operation(t testing.TB, status int) operation {
	t.Helper()
	var op operation
	a.decode(t, status, &op)
	return op
}

func (a answer) decode(t testing.TB, status int, into any) {
	t.Helper()
	if a.err != nil || a.status != status {
		t.Fatalf("status %d, error %v, body %s; want %d", a.status, a.err, a.body, status)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// problem is the body of an error.
type problem struct {
	Type, Title, Detail string
	Status              int
	Code                contract.Code
	Errors              []contract.FieldError
}

func (a answer) problem(t testing.TB, status int, code contract.Code, fields ...string) problem {
	t.Helper()
	var p problem
	a.decode(t, status, &p)
	var named []string
	for _, f := range p.Errors {
		named = append(named, f.Field)
		if f.Message == "" {
			t.Errorf("field %s has no message", f.Field)
		}
	}
	media := a.header.Get("Content-Type")
	if p.Code != code || p.Status != status || p.Detail == "" || p.Title != http.StatusText(status) || media != "application/problem+json" {
		t.Errorf("problem %s of type %s, want code %s", a.body, media, code)
	}
	if len(fields) > 0 && !slices.Equal(named, fields) {
		t.Errorf("errors name %q, want %q", named, fields)
	}
	return p
}
