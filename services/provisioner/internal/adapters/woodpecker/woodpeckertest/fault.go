package woodpeckertest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Fault makes the server fail one request. Where none of Status, CutBody and Hang is set
// the connection is cut without an answer.
type Fault struct {
	// Call is which of the requests that match, the next one being 1, or 0; those that
	// another fault before it has failed are not counted.
	Call int
	// Method and Path are of the requests that match, any where "": Path is in the path of
	// the request.
	Method, Path string

	Status     int    // answered as it is, with an empty body
	RetryAfter string // beside Status
	// AfterEffect lets the request take effect before.
	AfterEffect bool
	CutBody     bool // the answer comes, and breaks off half-way
	Hang        bool // no answer comes until the client leaves
	// Hung is called when it hangs, unless it is nil.
	Hung func()
}

// Fail has requests fail, each fault once.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fault := range faults {
		fault.Call = max(fault.Call, 1)
		s.faults = append(s.faults, &fault)
	}
}

// Faults is how many faults have not happened. It forgets them.
func (s *Server) Faults() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := len(s.faults)
	s.faults = nil
	return left
}

// takeFault is the fault of a request, nil for none.
func (s *Server) takeFault(r *http.Request) (taken *Fault) {
	kept := s.faults[:0]
	for _, fault := range s.faults {
		if taken == nil && (fault.Method == "" || fault.Method == r.Method) && strings.Contains(r.URL.Path, fault.Path) {
			if fault.Call--; fault.Call == 0 {
				taken = fault
				continue
			}
		}
		kept = append(kept, fault)
	}
	s.faults = kept
	return taken
}

// happen answers a request as the fault has it.
func (f *Fault) happen(w http.ResponseWriter, r *http.Request, handle func(http.ResponseWriter)) {
	recorded := httptest.NewRecorder()
	if f.AfterEffect || f.CutBody {
		handle(recorded)
	}
	switch {
	case f.Hang:
		if f.Hung != nil {
			f.Hung()
		}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.WriteHeader(f.Status)
	case f.CutBody:
		w.Header().Set("Content-Type", recorded.Header().Get("Content-Type"))
		w.Header().Set("Content-Length", "1000000")
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes()[:recorded.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		panic(http.ErrAbortHandler)
	}
}

// readBody reads the body of a request, and leaves it to be read again.
func readBody(r *http.Request) []byte {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}
