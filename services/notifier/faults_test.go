package notifier_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/notifier"
)

// notifierCommand has this test program be a notifier instead of the tests: one that
// can be killed without them.
const notifierCommand = "be-a-notifier"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == notifierCommand {
		os.Exit(beANotifier())
	}
	os.Exit(m.Run())
}

// beANotifier runs with the configuration on its standard input until that ends, which
// it does with the tests, or until SIGTERM.
func beANotifier() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	var cfg notifier.Config
	if err := json.NewDecoder(os.Stdin).Decode(&cfg); err != nil {
		log.Error("no configuration", "error", err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := notifier.Run(ctx, cfg, log); err != nil {
		log.Error("the notifier ended", "error", err)
		return 1
	}
	return 0
}

// process starts a notifier in a process of its own.
func (w *world) process() *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], notifierCommand)
	cmd.Stderr = w.t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // it may have been killed
	})
	if err := json.NewEncoder(in).Encode(w.cfg); err != nil { //nolint:staticcheck // NATS.More is empty
		w.t.Fatal(err)
	}
	return cmd
}

func TestAnotherProcessTakesOverFromOneThatEnds(t *testing.T) {
	for name, how := range map[string]syscall.Signal{"stopped": syscall.SIGTERM, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := stopped(t)
			first := w.process()
			held := make(chan struct{})
			r := receive(t, func(_ http.ResponseWriter, r *http.Request, n int) {
				if n == 3 {
					close(held)
					<-r.Context().Done() // it has come, and its answer never does
				}
			})
			hook := w.create(r.URL)
			want := []uint64{w.happen("shop").Seq}
			r.await(t, 1)
			w.start() // stands by
			for range 20 {
				want = append(want, w.happen("shop").Seq)
			}
			<-held
			if err := first.Process.Signal(how); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, func() error {
				if got := r.seqs(t); len(got) < len(want) {
					return fmt.Errorf("%d of %d events came", len(got), len(want))
				}
				return nil
			})
			if got := r.seqs(t); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			w.repeats(r)
			for i, seq := range want[1:] {
				if request, _ := r.first(seq); request.Header.Get(contract.HeaderPrevSeq) != strconv.FormatUint(want[i], 10) {
					t.Errorf("before event %d came %s, want %d", seq, request.Header.Get(contract.HeaderPrevSeq), want[i])
				}
			}
			// The table has each once, whoever sent it.
			testkit.Eventually(t, func() error { return w.delivered(hook.ID, want) })
		})
	}
}

// repeats checks that an event that came more than once came as the same.
func (w *world) repeats(r *receiver) {
	w.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	type event struct{ id, body string }
	came := map[string]event{} // by sequence
	for i, request := range r.got {
		seq, now := request.Header.Get(contract.HeaderSeq), event{request.Header.Get("webhook-id"), string(r.body[i])}
		if before, ok := came[seq]; ok && before != now || now.id != request.Header.Get(contract.HeaderEventID) {
			w.t.Errorf("event %s came as %+v, and as %+v before", seq, now, before)
		}
		came[seq] = now
	}
	if len(came) == len(r.got) {
		w.t.Error("nothing came twice, not even what was never answered")
	}
}

// every are the deliveries to an endpoint that have a status, the newest event first.
func (w *world) every(id string, status contract.DeliveryStatus) (all []contract.Delivery) {
	w.t.Helper()
	ask := contract.ListDeliveries{ID: id, Status: status}
	for {
		list, known := call[contract.ListDeliveries, contract.DeliveryList](w, contract.VerbListDeliveries, ask)
		if known != nil {
			w.t.Fatal(known)
		}
		all = append(all, list.Deliveries...)
		if list.NextCursor == nil {
			return all
		}
		ask.Cursor = *list.NextCursor
	}
}

// delivered tells whether the table has deliveries of these events and no others.
func (w *world) delivered(id string, want []uint64) error {
	w.t.Helper()
	var got []uint64
	for _, d := range w.every(id, contract.DeliveryDelivered) {
		got = append(got, d.Seq)
	}
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d are delivered: %v, want %v", len(got), got, want)
	}
	return nil
}

// during has events happen until something is over, and then until there are as many
// as wanted; it returns their sequences.
func (w *world) during(least int, something func()) (want []uint64) {
	w.t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		something()
	}()
	for {
		want = append(want, w.happen("shop").Seq)
		select {
		case <-over:
			if len(want) >= least {
				return want
			}
		default:
		}
	}
}

func TestNothingIsLostWhereNATSRestarts(t *testing.T) {
	t.Parallel()
	nodes := testkit.NATSNodes(t, 1, contract.DefaultLease())
	w := stopped(t)
	w.conn, w.cfg.NATS = testkit.Connect(t, nodes.URL(), "gateway"), bus.Settings{URL: nodes.URL()}
	w.start()
	r := receive(t, fine)
	hook := w.create(r.URL)
	w.happen("shop")
	r.await(t, 1)
	want := append(r.seqs(t), w.during(300, func() {
		for range 2 {
			if err := nodes.Restart(t.Context(), 0, 100*time.Millisecond); err != nil {
				t.Error(err)
			}
		}
	})...)
	testkit.Eventually(t, func() error { return w.delivered(hook.ID, want) })
	if got := r.seqs(t); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNothingIsLostWherePostgreSQLGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, fine)
	hook := w.create(r.URL)
	w.happen("shop")
	r.await(t, 1)
	want := append(r.seqs(t), w.during(200, func() {
		restore := w.closeDatabase()
		for range 100 { // they come while there is no table
			w.happen("blog")
		}
		restore()
	})...)
	testkit.Eventually(t, func() error {
		var shop []uint64
		for _, seq := range r.seqs(t) {
			if slices.Contains(want, seq) {
				shop = append(shop, seq)
			}
		}
		if !slices.Equal(shop, want) {
			return fmt.Errorf("got %d of %d events", len(shop), len(want))
		}
		return nil
	})
	got := r.seqs(t)
	if len(got) != len(want)+100 || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
	testkit.Eventually(t, func() error { return w.delivered(hook.ID, got) })
}

// closeDatabase takes the database away until restore.
func (w *world) closeDatabase() (restore func()) {
	w.t.Helper()
	at, err := url.Parse(w.cfg.DatabaseURL)
	if err != nil {
		w.t.Error(err)
		return func() {}
	}
	name := strings.TrimPrefix(at.Path, "/")
	at.Path = "/postgres"
	execute := func(statements ...string) {
		conn, err := pgx.Connect(w.t.Context(), at.String())
		if err != nil {
			w.t.Error(err)
			return
		}
		for _, statement := range statements {
			if _, err := conn.Exec(w.t.Context(), statement); err != nil {
				w.t.Error(err)
			}
		}
		if err := conn.Close(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	}
	execute("alter database "+name+" with allow_connections false", "select pg_terminate_backend(pid) from pg_stat_activity where datname = '"+name+"'")
	return func() { execute("alter database " + name + " with allow_connections true") }
}

func TestManyWhoAskAtOnceDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	hook := w.create(r.URL)
	w.happen("shop")
	w.becomes(hook.ID, contract.DeliveryDead)
	var asking sync.WaitGroup
	for range 20 { // more than the pool has connections
		asking.Go(func() {
			_, err := bus.Call[contract.Redeliver, contract.Redelivering](t.Context(), w.conn, contract.ServiceNotifier, contract.VerbRedeliver,
				contract.Redeliver{ID: hook.ID, FromSeq: 1, ToSeq: 1 << 40})
			if err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	w.becomes(hook.ID, contract.DeliveryDelivered)
}

func TestChangesOfEndpointsThatAreDisabledMeanwhileDoNotCollide(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusGone) })
	var hooks []string
	for range 20 {
		hooks = append(hooks, w.create(r.URL).ID)
	}
	for range 5 {
		w.happen("shop")
		var asking sync.WaitGroup
		for i := range hooks {
			asking.Go(func() {
				for range 10 {
					_, err := bus.Call[contract.GetWebhook, contract.Webhook](t.Context(), w.conn, contract.ServiceNotifier, contract.VerbEnableWebhook, contract.GetWebhook{ID: hooks[i]})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		asking.Wait()
	}
}
