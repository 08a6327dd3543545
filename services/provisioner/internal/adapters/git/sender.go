package git

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
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

	first   chan struct{} // closed once the first of it is there, or none is
	seen    sync.Once
	stopped atomic.Bool
	ended   atomic.Bool // the body
	done    chan struct{}
	refused error // why it could not be read, once done
}

func newSender(f *Forge, w http.ResponseWriter, r *http.Request, q request, control *http.ResponseController) *sender {
	most := f.maxBody(q)
	return &sender{
		raw: http.MaxBytesReader(w, r.Body, most), zipped: r.Header.Get("Content-Encoding") != "", max: most,
		control: control, idle: f.idleTimeout, first: make(chan struct{}), done: make(chan struct{}),
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
	s.seen.Do(func() { close(s.first) })
	if errors.Is(err, io.EOF) {
		s.ended.Store(true)
		_ = s.control.SetReadDeadline(time.Time{}) // the server goes on to watch the client
	}
	return n, err
}

func (s *sender) interrupt() { _ = s.control.SetReadDeadline(time.Unix(1, 0)) }

// send runs until the body has ended, or git, or until it is stopped. Without all of the
// body there is no use in what git does.
func (s *sender) send(stdin io.WriteCloser, cancel context.CancelFunc) {
	defer close(s.done)
	defer stdin.Close()
	from := &noting{from: s}
	if s.zipped {
		body, err := gzip.NewReader(s)
		if err != nil {
			s.refuse(err, cancel)
			return
		}
		from.from = http.MaxBytesReader(nil, body, s.max)
	}
	_, _ = io.Copy(stdin, from) // whether git has read it all is git's business
	if from.err != nil && !errors.Is(from.err, io.EOF) {
		s.refuse(from.err, cancel)
	}
}

func (s *sender) refuse(err error, cancel context.CancelFunc) {
	if !s.stopped.Load() {
		s.refused = err
		cancel()
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

// noting remembers the error of a reader.
type noting struct {
	from io.Reader
	err  error
}

// Read implements io.Reader.
func (n *noting) Read(p []byte) (int, error) {
	read, err := n.from.Read(p)
	if err != nil {
		n.err = err
	}
	return read, err
}
