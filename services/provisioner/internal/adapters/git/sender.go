package git

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// sender gives the body of a request to git.
type sender struct {
	raw     io.Reader // as it comes, no more than may come
	zipped  bool
	max     int64 // of what git gets, in bytes
	control *http.ResponseController
	idle    time.Duration

	first   chan error // gets nil once the first of it can be read, or that there is none
	stopped atomic.Bool
	ended   atomic.Bool // the body
	done    chan struct{}
	refused error // why it could not be read, once done
}

func newSender(f *Forge, w http.ResponseWriter, r *http.Request, q request, control *http.ResponseController) *sender {
	most := f.maxBody(q)
	return &sender{
		raw: http.MaxBytesReader(w, r.Body, most), zipped: r.Header.Get("Content-Encoding") != "", max: most,
		control: control, idle: f.idleTimeout, first: make(chan error, 1), done: make(chan struct{}),
	}
}

// Read implements io.Reader, for the body as it comes. The client has its time for each
// piece, and none once nobody listens.
func (s *sender) Read(p []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(s.idle))
	if s.stopped.Load() {
		s.interrupt()
	}
	n, err := s.raw.Read(p)
	if errors.Is(err, io.EOF) {
		s.ended.Store(true)
		_ = s.control.SetReadDeadline(time.Time{}) // the server goes on to watch the client
	}
	return n, err
}

func (s *sender) interrupt() { _ = s.control.SetReadDeadline(time.Unix(1, 0)) }

// send runs until the body has ended, or git, or until it is stopped. Where the body is cut
// off git ends by itself, and tidies up, as it does not where it is told to end.
func (s *sender) send(stdin io.WriteCloser) {
	defer close(s.done)
	defer stdin.Close()
	from := &noting{from: s, first: s.first}
	if s.zipped {
		body, err := gzip.NewReader(s)
		if err != nil {
			s.first <- err
			s.refuse(err)
			return
		}
		from.from = http.MaxBytesReader(nil, body, s.max)
	}
	_, _ = io.Copy(stdin, from) // whether git has read it all is git's business
	if from.err != nil {
		s.refuse(from.err)
	}
}

func (s *sender) refuse(err error) {
	if !s.stopped.Load() {
		s.refused = err
	}
}

// stop ends it, and tells why the body could not be read.
func (s *sender) stop(stdin io.Closer) error {
	select {
	case <-s.done:
		return s.refused
	default:
	}
	s.stopped.Store(true)
	if !s.ended.Load() {
		s.interrupt()
	}
	_ = stdin.Close() // it may wait for git to read
	<-s.done
	return s.refused
}

// noting remembers why a reader ended too early, and tells how it began.
type noting struct {
	from  io.Reader
	first chan<- error // nil once told
	err   error
}

// Read implements io.Reader.
func (n *noting) Read(p []byte) (int, error) {
	read, err := n.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	if n.first != nil {
		n.first <- n.err
		n.first = nil
	}
	return read, err
}
