package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var protocolPattern = regexp.MustCompile(`^[A-Za-z0-9=:._-]{1,200}$`)

// variables are what git http-backend is told of a request: by CGI, and without what else
// a client has sent. The token is not among it, nor is the length: git would wait for ever
// for the rest of a body that is cut off.
func (f *Forge) variables(r *http.Request, q request, name string) []string {
	env := []string{
		"GIT_PROJECT_ROOT=" + f.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + user, "REMOTE_ADDR=localhost",
		"REQUEST_METHOD=" + r.Method, "PATH_INFO=/" + name + "/" + q.rest, "CONTENT_TYPE=" + r.Header.Get("Content-Type"),
	}
	if q.rest == infoRefs {
		env = append(env, "QUERY_STRING=service="+q.service)
	}
	if protocol := r.Header.Get("Git-Protocol"); protocolPattern.MatchString(protocol) {
		env = append(env, "GIT_PROTOCOL="+protocol)
	}
	return env
}

// answer has git http-backend answer a request. net/http/cgi could not: it refuses bodies
// without a length, as those of large pushes are, gives git the token, and does not end
// what git has started once the client is gone.
func (f *Forge) answer(w http.ResponseWriter, r *http.Request, q request, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
	defer cancel()
	// A client that is gone is the end of git's input and output, and so of git, soon.
	gone := func() { time.AfterFunc(f.grace, cancel) }
	defer context.AfterFunc(r.Context(), gone)()
	control := http.NewResponseController(w)
	cmd := f.command(ctx, f.variables(r, q, name), "http-backend")
	stdin, stdout, err := start(cmd, control)
	if err != nil {
		f.logger.Error("git cannot be started", "project", q.slug, "error", err)
		http.Error(w, "git cannot be started", http.StatusInternalServerError)
		return
	}
	in := newSender(f, w, r, q, control)
	go in.send(stdin) // until the body, git, or stop ends it
	out := &answerer{w: w, control: control, idle: f.idleTimeout}
	err = out.answer(ctx, stdout, in.first)
	if err != nil {
		gone()
		_, _ = io.Copy(io.Discard, stdout)
	}
	refused := in.stop(stdin) // nobody listens any more
	ended := wait(ctx, cmd)
	if in.ended.Load() { // else the server would wait for the rest
		_ = control.SetReadDeadline(time.Time{})
	}
	_ = control.SetWriteDeadline(time.Time{})
	if refused != nil {
		err = nil // it says the same, or what follows of it
	}
	if err = errors.Join(refused, err, ended); err == nil {
		return
	}
	level := slog.LevelWarn
	if r.Context().Err() != nil {
		level = slog.LevelDebug // it has gone away
	}
	f.logger.Log(ctx, level, "a request to git has not ended well", "project", q.slug, "service", q.service, "error", err)
	switch _, large := errors.AsType[*http.MaxBytesError](refused); {
	case out.began && exited(ended) >= 0 && refused == nil: // it has told the client why
	case out.began:
		panic(http.ErrAbortHandler) // what is cut off must not look like the end
	case large:
		http.Error(w, "that is too large", http.StatusRequestEntityTooLarge)
	case refused != nil:
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
	default:
		http.Error(w, "git has failed", http.StatusInternalServerError)
	}
}

// start starts git. It answers before it has read all, so that the server has to let it.
func start(cmd *exec.Cmd, control *http.ResponseController) (stdin io.WriteCloser, stdout io.Reader, err error) {
	if err := control.EnableFullDuplex(); err != nil {
		return nil, nil, err
	}
	if stdin, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, errors.Join(err, stdin.Close())
	}
	return stdin, stdout, cmd.Start()
}

// answerer writes what git http-backend prints as the answer to a request.
type answerer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	began   bool
}

// answer begins once the first of the body is there: a client that waits for the word to
// send it would take any other answer for a refusal.
func (a *answerer) answer(ctx context.Context, from io.Reader, first <-chan error) error {
	printed := bufio.NewReaderSize(from, 32<<10)
	header, err := textproto.NewReader(printed).ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("read the header of git's answer: %w", err)
	}
	status := http.StatusOK
	if text, _, _ := strings.Cut(header.Get("Status"), " "); text != "" {
		if status, err = strconv.Atoi(text); err != nil || status < 200 || status > 599 {
			return fmt.Errorf("git answers with the status %q", text)
		}
	}
	select {
	case err := <-first:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, name := range []string{"Content-Type", "Cache-Control", "Expires", "Pragma"} {
		if value := header.Get(name); value != "" {
			a.w.Header().Set(name, value)
		}
	}
	a.began = true
	a.w.WriteHeader(status)
	_, err = io.Copy(a, printed)
	return err
}

// Write implements io.Writer. What git says while it works has to arrive while it does.
func (a *answerer) Write(p []byte) (int, error) {
	_ = a.control.SetWriteDeadline(time.Now().Add(a.idle))
	n, err := a.w.Write(p)
	return n, errors.Join(err, a.control.Flush())
}
