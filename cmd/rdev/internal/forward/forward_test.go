package forward_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/forward"
	"github.com/orchard9/rdev/libs/contract"
)

const secret = "whsec_c2VjcmV0"

// event reads an event as the gateway sends it.
func event(t *testing.T, document string) client.Event {
	t.Helper()
	var e client.Event
	if err := json.Unmarshal([]byte(document), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func forwarder(t *testing.T, url string) *forward.Forwarder {
	t.Helper()
	f, err := forward.New(url, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestAnEventArrivesAsTheNotifierSendsIt(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	type request struct {
		Method, Body string
		Header       map[string]string
	}
	var got []request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Error(err)
		}
		header := map[string]string{}
		for name := range r.Header {
			header[name] = r.Header.Get(name)
		}
		for _, name := range []string{"Webhook-Signature", "Webhook-Timestamp", "Accept-Encoding", "Content-Length"} {
			delete(header, name)
		}
		got = append(got, request{r.Method, string(body), header})
	}))
	defer server.Close()
	f := forwarder(t, server.URL)
	const id = "0192aaaa-0000-7000-8000-000000000001"
	first := f.Send(t.Context(), event(t, `{"seq":7,"id":"e-1","type":"operation.completed","entity":"operation","key":"`+id+`","time":"2026-11-25T10:00:00.123456789Z",
		"actor":"key:ci","project":"shop","source":"/rdev/executor/x","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","data":{"id":"`+id+`","state":"completed","b":"\u003c"}}`))
	// One that was published by hand has no id, and maybe nothing else.
	second := f.Send(t.Context(), event(t, `{"seq":9,"id":"","type":"project.created","entity":"project","key":"shop","time":"2026-11-25T10:00:01Z","actor":"","data":"no JSON"}`))
	want := []request{
		{http.MethodPost, `{"id":"` + id + `","state":"completed","b":"\u003c"}`, map[string]string{
			"Content-Type": "application/json", "User-Agent": "rdev-webhooks/1", "Webhook-Id": "e-1",
			"Ce-Id": "e-1", "Ce-Type": "ai.orchard9.rdev.operation.completed.v1", "Ce-Source": "/rdev/executor/x", "Ce-Subject": id,
			"Ce-Time": "2026-11-25T10:00:00.123456789Z", "Ce-Specversion": "1.0", "Rdev-Project": "shop",
			"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Rdev-Seq": "7", "Rdev-Prev-Seq": "0",
		}},
		{http.MethodPost, `"no JSON"`, map[string]string{
			"Content-Type": "application/json", "User-Agent": "rdev-webhooks/1", "Webhook-Id": "seq-9",
			"Ce-Id": "seq-9", "Ce-Type": "ai.orchard9.rdev.project.created.v1", "Ce-Subject": "shop",
			"Ce-Time": "2026-11-25T10:00:01Z", "Ce-Specversion": "1.0", "Rdev-Seq": "9", "Rdev-Prev-Seq": "7",
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if first.Status != contract.DeliveryDelivered || first.EventID != "e-1" || first.Seq != 7 || first.Type != "operation.completed" ||
		len(first.Attempts) != 1 || first.Attempts[0].StatusCode != http.StatusOK || first.Attempts[0].Error != "" || time.Since(first.Attempts[0].At) > time.Hour {
		t.Errorf("got %+v", first)
	}
	if second.EventID != "seq-9" {
		t.Errorf("got %+v", second)
	}
}

func TestWhatIsNotAnsweredWith2xxIsSentOnceAndDead(t *testing.T) {
	var hits, followed atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		http.Error(w, strings.Repeat("x", 1<<20), http.StatusServiceUnavailable)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	e := event(t, `{"seq":7,"id":"e-1","type":"operation.completed","entity":"operation","key":"k","data":{}}`)
	for path, want := range map[string]int{"/moved": http.StatusTemporaryRedirect, "/busy": http.StatusServiceUnavailable} {
		d := forwarder(t, server.URL+path).Send(t.Context(), e)
		a := d.Attempts[0]
		if d.Status != contract.DeliveryDead || a.StatusCode != want || a.Error == "" || len(a.Response) > 1<<10 {
			t.Errorf("%s: %+v", path, d)
		}
	}
	if hits.Load() != 2 || followed.Load() != 0 {
		t.Errorf("%d requests, %d followed", hits.Load(), followed.Load())
	}
	server.Close()
	d := forwarder(t, server.URL).Send(t.Context(), e)
	if a := d.Attempts[0]; d.Status != contract.DeliveryDead || a.StatusCode != 0 || !strings.Contains(a.Error, "refused") || strings.Contains(a.Error, "http") {
		t.Errorf("without a server: %+v", d)
	}
}

func TestASecretIsMadeThatSigns(t *testing.T) {
	one, two := forward.NewSecret(), forward.NewSecret()
	if one == two {
		t.Error("it is the same each time")
	}
	if _, err := forward.New("http://127.0.0.1:3000", one); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "whsec_", "c2VjcmV0", "whsec_%"} {
		if _, err := forward.New("http://127.0.0.1:3000", bad); err == nil || strings.Contains(err.Error(), "%") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:3000", "localhost", "ftp://127.0.0.1", "http://"} {
		if _, err := forward.New(bad, one); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
