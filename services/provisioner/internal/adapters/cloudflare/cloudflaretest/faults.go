package cloudflaretest

import (
	"net/http"
	"strconv"
	"strings"
)

// Fault is how a call fails: with a status, else with its answer cut off, else with none
// at all, for ever or with the connection closed.
type Fault struct {
	Status     int
	Code       int    // of the error, with Status
	RetryAfter string // with Status: seconds, or a date
	CutBody    bool   // half of the answer to what was done comes
	Hang       bool   // nothing comes until whoever called is gone
	// AfterEffect has it fail once it is done, CutBody always.
	AfterEffect bool
	Times       int // 0 is once
}

// fault is what happens to a call that has the text in it.
type fault struct {
	Fault

	match string
	do    func() // before the call is taken; it does not fail then
}

// Fail has the next calls fail that have the text in what Calls has of them.
func (s *Server) Fail(match string, f Fault) {
	s.plan(&fault{Fault: f, match: match})
}

// Before does something before the next call is taken that has the text.
func (s *Server) Before(match string, do func()) { s.plan(&fault{match: match, do: do}) }

// Heal has nothing fail any more.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) plan(f *fault) {
	f.Times = max(1, f.Times)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// note notes a call, and tells what is to be done before it, and how it fails: nil where
// it does not.
func (s *Server) note(call string) (before []func(), fails *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	for _, f := range s.faults {
		if f.Times == 0 || !strings.Contains(call, f.match) || f.do == nil && fails != nil {
			continue
		}
		f.Times--
		if f.do != nil {
			before = append(before, f.do)
		} else {
			fails = &f.Fault
		}
	}
	return before, fails
}

// play fails a call. told is the answer that it would have had.
func (f *Fault) play(w http.ResponseWriter, r *http.Request, closing <-chan struct{}, told answer) {
	switch {
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		refuse(f.Status, f.Code, "it was told to fail").write(w)
		return
	case f.CutBody:
		body := told.bytes()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(told.status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-closing:
		}
	}
	panic(http.ErrAbortHandler) // closes the connection
}
