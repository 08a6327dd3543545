package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// sinkReport is what came to a group of endpoints since the sink was reset.
type sinkReport struct {
	Count    int
	Bytes    int64
	First    time.Time // when the first request came
	Last     time.Time
	P50, P99 float64 // milliseconds from the event to the request that brought it
}

// sink is endpoints that take everything. The first segment of a path is the group
// that it is counted with.
type sink struct {
	mu     sync.Mutex
	groups map[string]*sinkGroup
}

type sinkGroup struct {
	bytes       int64
	first, last time.Time
	ages        []float64 // milliseconds
}

// serveSink announces the URL of endpoints. GET /report/<group> tells what came, and
// DELETE / forgets it.
func serveSink(ctx context.Context, _ struct{}, say announce) error {
	s := &sink{groups: map[string]*sinkGroup{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{group}/", s.take)
	mux.HandleFunc("GET /report/{group}", s.report)
	mux.HandleFunc("DELETE /", func(http.ResponseWriter, *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.groups = map[string]*sinkGroup{}
	})
	return listenAndSay(ctx, mux, say)
}

func (s *sink) take(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // cut off
	}
	at, err := time.Parse(time.RFC3339Nano, r.Header.Get(contract.HeaderTime))
	if err != nil {
		at = now // no event
	}
	s.mu.Lock()
	name := r.PathValue("group")
	group := s.groups[name]
	if group == nil {
		group = &sinkGroup{first: now}
		s.groups[name] = group
	}
	group.bytes += size
	group.last = now
	group.ages = append(group.ages, milliseconds(now.Sub(at)))
	s.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

func (s *sink) report(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found sinkReport
	if group := s.groups[r.PathValue("group")]; group != nil {
		found = sinkReport{Count: len(group.ages), Bytes: group.bytes, First: group.first, Last: group.last}
		if r.URL.Query().Has("ages") {
			found.P50, found.P99 = percentile(group.ages, 0.5), percentile(group.ages, 0.99)
		}
	}
	_ = json.NewEncoder(w).Encode(found)
}

// serveHostile announces the URL of endpoints that do what none should: /hang never
// answers, /drip answers a byte a second, /endless 10 GB, /redirect leads to an
// address that nobody outside may have rdev talk to.
func serveHostile(ctx context.Context, _ struct{}, say announce) error {
	mux := http.NewServeMux()
	handle := func(path string, answer http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				answer(w, r)
			}
		})
	}
	handle("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	handle("/drip", func(w http.ResponseWriter, r *http.Request) {
		for {
			_, err := w.Write([]byte("."))
			if errors.Join(err, http.NewResponseController(w).Flush()) != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Second):
			}
		}
	})
	handle("/endless", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(zeros{}, 10<<30))
	})
	handle("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	})
	return listenAndSay(ctx, mux, say)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// listenAndSay serves until ctx is done.
func listenAndSay(ctx context.Context, handler http.Handler, say announce) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := say("http://" + listener.Addr().String()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// askSink reads what came to a group.
func askSink(ctx context.Context, url, group string) (found sinkReport, err error) {
	err = sinkRequest(ctx, http.MethodGet, url+"/report/"+group+"?ages", &found)
	return found, err
}

func sinkRequest(ctx context.Context, method, url string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
