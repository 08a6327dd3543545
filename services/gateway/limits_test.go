package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/gateway"
)

// limited is one more gateway of the world, with limits.
func (w *world) limited(limits gateway.Limits) string {
	w.t.Helper()
	w.cfg.Limits = limits
	url, _ := w.start()
	return url
}

// waited pauses for as long as a refusal says.
func (a answer) waited(t *testing.T) {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 60 {
		t.Fatalf("Retry-After %q", a.header.Get("Retry-After"))
	}
	time.Sleep(time.Duration(seconds) * time.Second)
}

func (a answer) number(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(a.header.Get(name))
	if err != nil {
		t.Fatalf("%s is %q", name, a.header.Get(name))
	}
	return n
}

func TestGatewaysShareTheBudgetOfAKey(t *testing.T) {
	newWorld(t).sharesBudgets(t)
}

func TestGatewaysShareTheBudgetOfAKeyOnAClusterOfThree(t *testing.T) {
	t.Parallel()
	worldAt(t, testkit.NATSNodes(t, 3, contract.DefaultLease()).URL()).sharesBudgets(t)
}

func (w *world) sharesBudgets(t *testing.T) {
	t.Helper()
	const rate, burst, slices = 1200, 120, 2 * 30
	// Gateways that start later know the key.
	limits := gateway.Limits{KeyRate: rate}
	key := w.newKey(`{"name":"busy","scopes":["projects:read"]}`).Secret
	urls := []string{w.limited(limits), w.limited(limits)}
	var served, refused atomic.Int64
	var last atomic.Value
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for served.Load()+refused.Load() < 1500 {
				a := w.send(call{url: urls[i%2], method: http.MethodGet, path: "/keys/self", key: key})
				switch {
				case a.err == nil && a.status == http.StatusOK:
					served.Add(1)
				case a.err == nil && a.status == http.StatusTooManyRequests:
					refused.Add(1)
					last.Store(a)
				default:
					t.Errorf("status %d, error %v, %s", a.status, a.err, a.body)
					return
				}
			}
		})
	}
	wg.Wait()
	gained := int64(time.Since(begin).Seconds() * rate / 60)
	if got := served.Load(); got > gained+burst+slices+1 || got < burst*9/10 {
		t.Errorf("%d were served in %s; the budget gains %d, and has a burst of %d", got, time.Since(begin), gained, burst)
	}
	if refused.Load() == 0 {
		t.Fatal("nobody was refused")
	}
	a, _ := last.Load().(answer)
	p := a.problem(t, http.StatusTooManyRequests, contract.CodeRateLimited)
	if !strings.Contains(p.Detail, "this API key") || !strings.Contains(p.Detail, "1200 a minute") {
		t.Errorf("the detail is %q", p.Detail)
	}
	if a.number(t, "RateLimit-Limit") != burst || a.number(t, "RateLimit-Remaining") != 0 || a.number(t, "RateLimit-Reset") < 1 {
		t.Errorf("headers %v", a.header)
	}
	// Nobody else is held up.
	if a := w.send(call{url: urls[0], method: http.MethodGet, path: "/keys/self"}); a.status != http.StatusOK {
		t.Errorf("another key: %d %s", a.status, a.body)
	}
}

func TestRetryAfterIsTrueOnEveryGateway(t *testing.T) {
	w := newWorld(t)
	limits := gateway.Limits{KeyRate: 60}
	key := w.newKey(`{"name":"slow","scopes":["projects:read"]}`).Secret
	first, second := w.limited(limits), w.limited(limits)
	ask := func(url string) answer {
		return w.send(call{url: url, method: http.MethodGet, path: "/keys/self", key: key})
	}
	for _, other := range []string{first, second} {
		var a answer
		for range 200 {
			if a = ask(first); a.status == http.StatusTooManyRequests {
				break
			}
		}
		a.problem(t, http.StatusTooManyRequests, contract.CodeRateLimited)
		a.waited(t)
		if a := ask(other); a.status != http.StatusOK {
			t.Errorf("after Retry-After: %d %s", a.status, a.body)
		}
	}
}

func TestEveryAuthorizedAnswerTellsTheTightestLimit(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "other")
	url := w.limited(gateway.Limits{KeyRate: 60_000, ProjectRate: 200, Rate: 600_000})
	self := call{url: url, method: http.MethodGet, path: "/keys/self"}
	a := w.send(self)
	if a.number(t, "RateLimit-Limit") != 6000 || a.number(t, "RateLimit-Remaining") > 5999 || a.number(t, "RateLimit-Reset") != 1 {
		t.Errorf("headers %v", a.header)
	}
	self.path = "/keys/none"
	if a := w.send(self); a.status != http.StatusNotFound || a.number(t, "RateLimit-Limit") != 6000 {
		t.Errorf("%d, headers %v", a.status, a.header)
	}
	self.key = "x"
	if a := w.send(self); a.status != http.StatusUnauthorized || a.header.Get("RateLimit-Limit") != "" {
		t.Errorf("%d, headers %v", a.status, a.header)
	}
	post := call{url: url, path: "/projects/shop/commands", body: `{"kind":"shell","argv":["true"]}`}
	for i := 0; ; i++ {
		a = w.send(post)
		if a.number(t, "RateLimit-Limit") != 20 {
			t.Fatalf("headers %v", a.header)
		}
		if a.status != http.StatusAccepted || i == 400 {
			break
		}
	}
	if p := a.problem(t, http.StatusTooManyRequests, contract.CodeRateLimited); !strings.Contains(p.Detail, "project") {
		t.Errorf("the detail is %q", p.Detail)
	}
	w.send(call{url: url, path: "/builds", body: `{"project":"shop","spec":{"steps":[{"name":"a","run":"b"}]}}`}).problem(t, http.StatusTooManyRequests, contract.CodeRateLimited)
	post.path = "/projects/other/commands"
	w.send(post).operation(t, http.StatusAccepted)
	w.send(call{url: url, method: http.MethodDelete, path: "/projects/shop"}).operation(t, http.StatusAccepted)
}

func TestTheInstallationHasACeiling(t *testing.T) {
	w := newWorld(t)
	key := w.newKey(`{"name":"one","scopes":["projects:read"]}`).Secret
	url := w.limited(gateway.Limits{KeyRate: 60_000, Rate: 60})
	for i := 0; ; i++ {
		a := w.send(call{url: url, method: http.MethodGet, path: "/keys/self", key: key})
		if a.status == http.StatusOK && i < 200 {
			continue
		}
		if p := a.problem(t, http.StatusTooManyRequests, contract.CodeRateLimited); !strings.Contains(p.Detail, "installation") {
			t.Errorf("the detail is %q", p.Detail)
		}
		return
	}
}

func TestOnlySoManyStreamsAreOpenAtATime(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	op := w.run("shop")
	w.url = w.limited(gateway.Limits{Streams: 3, AllStreams: 4})
	output := "/operations/" + op.ID + "/output"
	first := w.open("/events", "")
	w.open(output, "")
	socket, _, err := websocket.Dial( //nolint:bodyclose // the body belongs to the connection
		t.Context(), strings.Replace(w.url, "http", "ws", 1)+output+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"X-Api-Key": {w.key}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	for _, path := range []string{"/events", output, output + "/ws"} {
		a := w.get(path)
		if p := a.problem(t, http.StatusTooManyRequests, contract.CodeRateLimited); !strings.Contains(p.Detail, "3 streams") {
			t.Errorf("the detail is %q", p.Detail)
		}
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if a := w.get("/operations/" + op.ID); a.status != http.StatusOK {
		t.Errorf("what is no stream: %d %s", a.status, a.body)
	}
	other := w.newKey(`{"name":"other","scopes":["operations:read"]}`).Secret
	w.openAs(other, "/events")
	if p := w.send(call{method: http.MethodGet, path: "/events", key: other}).problem(t, http.StatusTooManyRequests, contract.CodeRateLimited); !strings.Contains(p.Detail, "this gateway has 4") {
		t.Errorf("the detail is %q", p.Detail)
	}
	// Who hangs up makes room.
	first.hangUp()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	testkit.Eventually(t, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/events", http.NoBody)
		if err != nil {
			return err
		}
		request.Header.Set("X-API-Key", w.key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			_ = response.Body.Close()
			return fmt.Errorf("status %d", response.StatusCode)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return nil
	})
}

func TestTooMuchThatWaitsIsRefusedAndWhatWasAcceptedIsNot(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "other", "third")
	w.url = w.limited(gateway.Limits{ProjectQueueDepth: 3, QueueDepth: 5})
	post := func(project, key string) answer {
		return w.send(call{path: "/projects/" + project + "/commands", body: `{"kind":"shell","argv":["true"]}`, header: map[string]string{"Idempotency-Key": key}})
	}
	fill := func(project string) answer {
		var a answer
		testkit.Eventually(t, func() error { // what waits is counted when the log comes back
			if a = post(project, fmt.Sprint(time.Now().UnixNano())); a.status == http.StatusAccepted {
				return fmt.Errorf("accepted: %s", a.body)
			}
			return nil
		})
		return a
	}
	accepted := post("shop", "mine").operation(t, http.StatusAccepted)
	if p := fill("shop").problem(t, http.StatusTooManyRequests, contract.CodeRateLimited); !strings.Contains(p.Detail, "project shop") {
		t.Errorf("the detail is %q", p.Detail)
	}
	if again := post("shop", "mine").operation(t, http.StatusAccepted); again.ID != accepted.ID {
		t.Errorf("the same request again made %s, not %s", again.ID, accepted.ID)
	}
	fill("other")
	a := post("third", "late")
	if p := a.problem(t, http.StatusTooManyRequests, contract.CodeRateLimited); !strings.Contains(p.Detail, "this installation") || a.header.Get("Retry-After") == "" {
		t.Errorf("the detail is %q, Retry-After %q", p.Detail, a.header.Get("Retry-After"))
	}
	w.send(call{path: "/operations/" + accepted.ID + "/cancel"}).operation(t, http.StatusOK)
	w.send(call{method: http.MethodDelete, path: "/projects/other"}).operation(t, http.StatusAccepted)
}

func TestWithoutTheBucketAGatewayServesItsPart(t *testing.T) {
	w := newWorld(t)
	w.url = w.limited(gateway.Limits{KeyRate: 600})
	js := w.conn.JetStream()
	if err := js.DeleteStream(t.Context(), contract.StreamLimits); err != nil {
		t.Fatal(err)
	}
	key := w.newKey(`{"name":"busy","scopes":["projects:read"]}`).Secret
	begin, served := time.Now(), 0
	for range 400 {
		switch a := w.send(call{method: http.MethodGet, path: "/keys/self", key: key}); a.status {
		case http.StatusOK:
			served++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("%d %s, %v", a.status, a.body, a.err)
		}
	}
	const slice = 15
	if most := 2*slice + 1 + int(time.Since(begin).Seconds()*10); served < slice || served > most {
		t.Errorf("%d were served, of %d to %d", served, slice, most)
	}
	// What it had is in the pool again once there is one.
	if err := w.conn.Ensure(t.Context(), 1, contract.DefaultLease()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error {
		w.send(call{method: http.MethodGet, path: "/keys/self", key: key})
		stream, err := js.Stream(t.Context(), contract.StreamLimits)
		if err != nil {
			return err
		}
		if state := stream.CachedInfo().State; state.NumSubjects == 0 {
			return fmt.Errorf("nothing is stored: %+v", state)
		}
		return nil
	})
}

// A step whose work there is no room for holds up neither its cancel nor its end.
func TestABuildEndsAlsoWhereTooMuchWaits(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "blog")
	w.stop()
	w.url = w.limited(gateway.Limits{ProjectQueueDepth: 1})
	const steps = "\nsteps: [{name: waits, run: one}, {name: room, run: two}, {name: later, run: three, needs: [room]}]"
	late, unwanted := w.build("shop", "timeout: 3s"+steps), w.build("blog", "timeout: 1h"+steps)
	w.steps(unwanted.ID, "waits=running room=running later=pending")
	w.send(call{path: "/builds/" + unwanted.ID + "/cancel"}).operation(t, http.StatusAccepted)
	if end := w.buildEnds(unwanted.ID); end.State != contract.Cancelled || stepsAs(end) != "waits=cancelled room=cancelled later=cancelled" {
		t.Errorf("it ended %s: %s", end.State, stepsAs(end))
	}
	if end := w.buildEnds(late.ID); end.State != contract.Failed || end.Failure.Class != contract.ClassTimeout {
		t.Errorf("it ended %s, %+v: %s", end.State, end.Failure, stepsAs(end))
	}
}
