// Package webhook makes requests to endpoints, after the Standard Webhooks
// specification, and only to addresses that are allowed.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Limits of one request.
const (
	requestTimeout = 10 * time.Second // from the look-up of the name to the last byte of the answer
	connectTimeout = 5 * time.Second  // for the look-up of the name and the connection
	tlsTimeout     = 5 * time.Second
	bodyTimeout    = 2 * time.Second // for the answer's body, which decides nothing
	maxAnswer      = 64 << 10        // bytes of the answer's head, and of its body, that are read
)

// Connections that wait for another request. Of those of an HTTP/2 server one is
// enough; it is asked for a sign of life when it was silent during a request.
const (
	maxIdle        = 512
	maxIdlePerHost = 256 // a host may have many endpoints, and each has one request under way
	idleTimeout    = 30 * time.Second
	pingAfter      = 5 * time.Second
	pingTimeout    = 3 * time.Second
)

const userAgent = "rdev-webhooks/1"

// Request is one request to an endpoint.
type Request struct {
	URL     string
	Secrets []string          // whsec_…, one or two, the newest first: each signs
	Headers map[string]string // the endpoint's own; those that are rdev's to set are left out
	ID      string            // webhook-id
	Event   http.Header       // of the event: ce-*, Rdev-Seq, traceparent; shared with other requests
	PrevSeq string            // Rdev-Prev-Seq; none where empty
	Body    []byte            // JSON
}

// Outcome is what came of a request.
type Outcome struct {
	Status     int // 0 where there was no answer
	Duration   time.Duration
	Err        error         // why there was no answer; nil for an answer of any status
	RetryAfter time.Duration // as a 429 or 503 asks for, at most an hour
	Excerpt    string        // how the body of an answer begins that was no 2xx: one line, at most 1 KiB
	Cut        bool          // the body was longer or slower than it is read, or broke off
}

// Sender posts events. It follows no redirect: that is an answer.
type Sender struct {
	transport *http.Transport // alone: an http.Client adds redirects and cookies, which nobody wants here
	limit     time.Duration   // for a request
	bodyLimit time.Duration   // for the body of an answer
}

// settings are what a Sender is made of.
type settings struct {
	proxy          *url.URL
	resolver       Resolver
	roots          *x509.CertPool // of endpoints and proxy; the machine's where nil
	dial           dialFunc       // without a proxy; of the guard's own making where nil
	total, connect time.Duration
	tls, body      time.Duration
}

// Option changes how NewSender makes a Sender.
type Option func(*settings)

// Proxy has every connection go through the proxy at a URL that CheckProxy accepts.
func Proxy(u *url.URL) Option { return func(s *settings) { s.proxy = u } }

// CheckProxy returns what is wrong with the URL of a proxy, as http://proxy:3128 or
// https://user:password@proxy.
func CheckProxy(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL of a proxy must begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("the URL of a proxy has no host")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL of a proxy must end with its port")
	}
	return nil
}

// NewSender makes requests to allowed targets.
func NewSender(targets domain.Targets, options ...Option) *Sender {
	set := settings{
		resolver: net.DefaultResolver, dial: direct(targets),
		total: requestTimeout, connect: connectTimeout, tls: tlsTimeout, body: bodyTimeout,
	}
	for _, option := range options {
		option(&set)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: set.roots}
	if set.proxy != nil {
		set.dial = newProxy(set.proxy, config).DialContext
	}
	guard := &guard{targets: targets, resolver: set.resolver, dial: set.dial, patience: set.connect}
	return &Sender{limit: set.total, bodyLimit: set.body, transport: &http.Transport{
		DialContext:            guard.DialContext, // and no Proxy, which would look up names for us
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    set.tls,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true, // what is read is what was sent
	}}
}

// Close closes the connections that wait for another request.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Post makes a request once. An Err that wraps domain.ErrTargetNotAllowed says that
// nothing was sent, for the address is none that rdev talks to.
func (s *Sender) Post(ctx context.Context, r Request) Outcome {
	begin := time.Now()
	outcome := s.post(ctx, r, begin)
	outcome.Duration = time.Since(begin)
	return outcome
}

func (s *Sender) post(ctx context.Context, r Request, begin time.Time) Outcome {
	ctx, cancel := context.WithDeadline(ctx, begin.Add(s.limit))
	defer cancel()
	request, err := signed(ctx, r, begin)
	if err != nil {
		return Outcome{Err: err}
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return Outcome{Err: s.reason(err, time.Since(begin))}
	}
	defer response.Body.Close()
	outcome := Outcome{Status: response.StatusCode, RetryAfter: retryAfter(response, begin)}
	if response.Body == http.NoBody {
		return outcome
	}
	// The status stands, whatever becomes of the body. Reading it to its end lets the
	// connection be used again; what goes on for too long is cut off.
	timer := time.AfterFunc(s.bodyLimit, cancel)
	defer timer.Stop()
	body := &io.LimitedReader{R: response.Body, N: maxAnswer + 1}
	if outcome.Status/100 != 2 {
		begins, _ := io.ReadAll(io.LimitReader(body, maxExcerpt))
		outcome.Excerpt = excerpt(begins)
	}
	_, err = io.Copy(io.Discard, body)
	outcome.Cut = err != nil || body.N == 0
	return outcome
}

// signed is the request to make at a time.
func signed(ctx context.Context, r Request, at time.Time) (*http.Request, error) {
	signatures := make([]string, 0, len(r.Secrets))
	for _, secret := range r.Secrets {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, errors.New("sign: the secret is none") // and the cause would tell it
		}
		signature, err := signer.Sign(r.ID, at, r.Body)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	header := maps.Clone(r.Event)
	if header == nil {
		header = http.Header{}
	}
	request.Header = header
	for name, value := range r.Headers {
		if !domain.ReservedHeader(name) {
			header.Set(name, value)
		}
	}
	if r.PrevSeq != "" {
		header[contract.HeaderPrevSeq] = []string{r.PrevSeq}
	}
	header["Content-Type"] = []string{"application/json"}
	header["User-Agent"] = []string{userAgent}
	header["Webhook-Id"] = []string{r.ID}
	header["Webhook-Timestamp"] = []string{strconv.FormatInt(at.Unix(), 10)}
	header["Webhook-Signature"] = []string{strings.Join(signatures, " ")}
	// Not sent, for it is empty: the request may be made again where a connection that
	// was kept turns out to be closed.
	header["Idempotency-Key"] = []string{}
	return request, nil
}

// reason is why there was no answer.
func (s *Sender) reason(err error, after time.Duration) error {
	switch broken, ok := errors.AsType[tls.RecordHeaderError](err); {
	case after >= s.limit:
		return fmt.Errorf("no answer within %s: %w", s.limit, context.DeadlineExceeded)
	case ok && string(broken.RecordHeader[:]) == "HTTP/":
		return http.ErrSchemeMismatch
	}
	return err
}
