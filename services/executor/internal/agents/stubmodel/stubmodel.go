// Package stubmodel is a scripted language model that speaks the protocols of
// the agents' providers, to run the real CLIs without a provider. It says a
// sentence, runs one shell command, and once it sees the output says another.
package stubmodel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// What the model says and does, and the tokens that it counts for each call.
const (
	FirstWords = "Let me look around."
	LastWords  = "The command printed what it should."
	Command    = "echo printed-by-the-tool"
	Printed    = "printed-by-the-tool"
	// Changing is the command of a model that Changes.
	Changing = "touch changed && " + Command

	InputTokens  = 1000 // from no cache
	CachedTokens = 200
	OutputTokens = 50
)

// Model is an HTTP handler that serves all the protocols.
type Model struct {
	// Status, where it is not 0, refuses every call with this HTTP status.
	Status int
	// Changes has it run a command that changes something, for which an agent may ask.
	// It takes a denial that has the word denied for an answer.
	Changes bool
	// Hang makes the model begin to speak and never go on.
	Hang bool

	mu    sync.Mutex
	calls int
}

// Calls is how many times the model was called.
func (m *Model) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// request is what the protocols' requests have in common for the script: the
// part of the conversation that tells whether the tool has run.
type request struct {
	Messages json.RawMessage `json:"messages"` // Anthropic, chat completions
	Input    json.RawMessage `json:"input"`    // Responses
	Contents json.RawMessage `json:"contents"` // Gemini
	Tools    json.RawMessage `json:"tools"`
}

// acted tells whether the command was run already in this turn of the conversation.
func (r request) acted() bool {
	var parts []json.RawMessage
	for _, conversation := range []json.RawMessage{r.Messages, r.Input, r.Contents} {
		if json.Unmarshal(conversation, &parts) == nil && len(parts) > 0 {
			break
		}
	}
	for _, part := range parts[max(0, len(parts)-2):] {
		text := string(part)
		if (strings.Contains(text, Printed) || strings.Contains(text, "denied")) && !strings.Contains(text, Command) {
			return true
		}
	}
	return false
}

func (r request) hasTool(name string) bool {
	return strings.Contains(string(r.Tools), `"name":"`+name+`"`)
}

// ServeHTTP implements [http.Handler].
func (m *Model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protocol := map[string]func(*stream, request){
		"/v1/messages": anthropic, "/v1/chat/completions": chatCompletions, "/v1/responses": responses,
	}[r.URL.Path]
	if strings.HasSuffix(r.URL.Path, ":streamGenerateContent") {
		protocol = gemini
	}
	if r.Method != http.MethodPost || protocol == nil {
		http.NotFound(w, r)
		return
	}
	m.mu.Lock()
	m.calls++
	call := m.calls
	m.mu.Unlock()
	if m.Status != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(m.Status)
		_, _ = fmt.Fprintf(w, `{"type":"error","error":{"type":"stub_error","code":%d,"message":"stub error %d"}}`, m.Status, m.Status)
		return
	}
	var asked request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	s := &stream{w: w, flush: http.NewResponseController(w), id: fmt.Sprintf("%d_%d", call, time.Now().UnixNano())}
	s.command = Command
	if m.Changes {
		s.command = Changing
	}
	if m.Hang {
		s.hang = r.Context().Done()
	}
	protocol(s, asked)
}

// stream writes server-sent events.
type stream struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	id    string // of this answer, unique
	hang  <-chan struct{}

	command string
}

type object = map[string]any

func (s *stream) event(name string, data object) {
	body, err := json.Marshal(data)
	if err != nil { // maps of plain values never fail
		body = []byte(`{}`)
	}
	if name != "" {
		_, _ = fmt.Fprintf(s.w, "event: %s\n", name)
	}
	_, _ = fmt.Fprintf(s.w, "data: %s\n\n", body)
	_ = s.flush.Flush()
}

// wait hangs where the model does, after its first words.
func (s *stream) wait() bool {
	if s.hang == nil {
		return false
	}
	<-s.hang
	return true
}
