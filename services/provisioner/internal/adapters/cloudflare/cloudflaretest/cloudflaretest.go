// Package cloudflaretest is a Cloudflare for tests: it keeps the DNS records of zones in
// memory, refuses what the API refuses, and can be told to fail. It speaks the part of the API
// that rdev needs over a real socket, as that was measured and is described by its schema.
package cloudflaretest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Token is the one that the server takes.
const Token = "cloudflare-test-token"

// ZoneID is an id as zones have it, another for each number.
func ZoneID(n int) string { return digits(0x20e<<20 + n) }

// Server is a running fake.
type Server struct {
	URL string // of the API

	mu       sync.Mutex
	zones    map[string]string // name by id
	records  []Record          // in the order in which they came
	made     int
	now      time.Time
	pageSize int
	calls    []string
	faults   []*fault
	closing  chan struct{}
}

// New runs a server with zones, ids by name, until the test ends.
func New(t testing.TB, zones map[string]string) *Server {
	t.Helper()
	s := &Server{zones: map[string]string{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), pageSize: 100, closing: make(chan struct{})}
	for name, id := range zones {
		s.zones[id] = name
	}
	server := httptest.NewServer(s)
	s.URL = server.URL + "/client/v4"
	t.Cleanup(func() {
		close(s.closing)
		server.Close()
	})
	return s
}

// PageSize has no page of a list hold more records.
func (s *Server) PageSize(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageSize = n
}

// Calls are all calls so far: method, path with query, and body.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// answer is what comes of a call.
type answer struct {
	status int
	code   int    // of an error
	text   string // the same, "" where there is none
	result any
	info   any // of a list
}

func refuse(status, code int, text string) answer {
	return answer{status: status, code: code, text: text}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever called is gone
	}
	call := strings.TrimSpace(r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/client/v4") + " " + string(body))
	before, fails := s.note(call)
	for _, do := range before {
		do()
	}
	var told answer
	if fails == nil || fails.AfterEffect || fails.CutBody {
		s.mu.Lock()
		told = s.take(r, body)
		s.mu.Unlock()
	}
	if fails != nil {
		fails.play(w, r, s.closing, told)
		return
	}
	told.write(w)
}

// take is what the API does.
func (s *Server) take(r *http.Request, body []byte) answer {
	if r.Header.Get("Authorization") != "Bearer "+Token {
		return refuse(http.StatusForbidden, 9109, "Invalid access token")
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/client/v4/"), "/")
	if len(path) < 3 || len(path) > 4 || path[0] != "zones" || path[2] != "dns_records" {
		return refuse(http.StatusNotFound, 7000, "No route for that URI")
	}
	zone := path[1]
	if s.zones[zone] == "" {
		return refuse(http.StatusForbidden, 10000, "Authentication error")
	}
	if len(path) == 3 {
		switch r.Method {
		case http.MethodGet:
			return s.list(zone, r.URL.Query())
		case http.MethodPost:
			return s.write(Record{Zone: zone}, body)
		}
		return refuse(http.StatusMethodNotAllowed, 10405, "Method not allowed for this authentication scheme")
	}
	at := slices.IndexFunc(s.records, func(r Record) bool { return r.Zone == zone && r.ID == path[3] })
	if at < 0 {
		return refuse(http.StatusNotFound, 81044, "Record does not exist.")
	}
	switch r.Method {
	case http.MethodGet:
		return answer{status: http.StatusOK, result: s.records[at].wire()}
	case http.MethodPatch:
		return s.write(s.records[at], body)
	case http.MethodPut:
		was := s.records[at]
		return s.write(Record{Zone: zone, ID: was.ID, Created: was.Created}, body)
	case http.MethodDelete:
		s.records = slices.Delete(s.records, at, at+1)
		return answer{status: http.StatusOK, result: map[string]string{"id": path[3]}}
	}
	return refuse(http.StatusMethodNotAllowed, 10405, "Method not allowed for this authentication scheme")
}

// bytes is the answer in its envelope.
func (a answer) bytes() []byte {
	envelope := map[string]any{"success": a.text == "", "errors": []any{}, "messages": []any{}, "result": a.result}
	if a.text != "" {
		envelope["errors"] = []any{map[string]any{"code": a.code, "message": a.text}}
	}
	if a.info != nil {
		envelope["result_info"] = a.info
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(envelope); err != nil {
		panic(err) // it is made of what JSON can have
	}
	return text.Bytes()
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.bytes())
}
