package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dialTimeout is how long a program of a project may take to accept a connection. For its
// answer there is no limit but the client's: it may be a stream.
const dialTimeout = 5 * time.Second

// Find tells the project that a host leads to, and its port; project is "" where there is none.
type Find func(ctx context.Context, host string) (project string, port int, err error)

// proxy leads requests to the programs of projects.
type proxy struct {
	find      Find
	other     http.Handler
	transport *http.Transport
	log       *slog.Logger
}

// NewProxy leads requests for hosts below localhost to the programs of projects, on ports
// of projects of this machine and nowhere else, and all others to other. Upgrades, as to
// WebSockets, and streams go through as they come. An API key of rdev's does not.
func NewProxy(find Find, other http.Handler, log *slog.Logger) http.Handler {
	return &proxy{find: find, other: other, log: log, transport: &http.Transport{
		DialContext: dial, DisableCompression: true,
		// A connection that is kept may lead to a program that another has replaced.
		DisableKeepAlives: true,
	}}
}

// dial connects to a port of 127.0.0.1, or of ::1, where programs listen that were told
// to listen at localhost.
func dial(ctx context.Context, _, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp4", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		_, port, _ := net.SplitHostPort(address)
		if conn, err := dialer.DialContext(ctx, "tcp6", net.JoinHostPort("::1", port)); err == nil {
			return conn, nil
		}
	}
	return conn, err
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, ok := hostIn(r.Host)
	if !ok {
		p.other.ServeHTTP(w, r)
		return
	}
	if r.Method == http.MethodConnect {
		http.Error(w, "rdev is no proxy for CONNECT", http.StatusMethodNotAllowed)
		return
	}
	project, port, err := p.find(r.Context(), host)
	switch {
	case err != nil:
		p.log.ErrorContext(r.Context(), "a project is not found by its host", "host", host, "error", err)
		http.Error(w, "rdev cannot tell which project has the host "+host, http.StatusInternalServerError)
	case project == "" || port < firstPort || port > lastPort:
		http.Error(w, "no project has the host "+host, http.StatusNotFound)
	default:
		p.to(project, port).ServeHTTP(w, r)
	}
}

// to leads requests to the program of a project.
func (p *proxy) to(project string, port int) http.Handler {
	target := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	return &httputil.ReverseProxy{
		Transport: p.transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.SetXForwarded()
			request.Out.Host, request.Out.URL.RawQuery = request.In.Host, request.In.URL.RawQuery
			withoutKeys(request.Out.Header)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // nobody reads it
			}
			message := fmt.Sprintf("the program of project %s on port %d did not answer: %v", project, port, err)
			if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
				message = fmt.Sprintf("no program of project %s listens on port %d: start one that listens on $PORT", project, port)
			}
			http.Error(w, message, http.StatusBadGateway)
		},
	}
}

// withoutKeys takes the API keys of rdev out of a request, which a client may send to all
// hosts of this machine.
func withoutKeys(header http.Header) {
	header.Del("X-API-Key")
	kept := slices.DeleteFunc(header["Authorization"], func(value string) bool {
		scheme, credentials, _ := strings.Cut(value, " ")
		return strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(strings.TrimSpace(credentials), "rdev_")
	})
	if len(kept) == 0 {
		delete(header, "Authorization")
	} else {
		header["Authorization"] = kept
	}
}
