// Package webhook makes requests to endpoints, after the Standard Webhooks
// specification, and only to addresses that are allowed.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Limits of one request.
const (
	requestTimeout = 10 * time.Second // from the first packet to the last byte of the answer
	maxAnswer      = 64 << 10         // bytes of the answer that are read
	maxError       = 300              // bytes of an error that are kept
)

// Sender implements app.Sender.
type Sender struct{ client *http.Client }

// NewSender makes requests to allowed targets.
func NewSender(targets domain.Targets) *Sender {
	dialer := &net.Dialer{
		Timeout: requestTimeout,
		// The address is what DNS answered for this very connection: a name that
		// leads elsewhere the second time gains nothing.
		Control: func(_, address string, _ syscall.RawConn) error {
			target, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %s", domain.ErrTargetNotAllowed, address)
			}
			return targets.Check(target.Addr())
		},
	}
	return &Sender{client: &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext, // and no proxy, which would dial for us
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    requestTimeout,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes the connections that wait for another request.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// Send implements app.Sender.
func (s *Sender) Send(ctx context.Context, target, secret string, event app.Event) contract.DeliveryAttempt {
	begin := time.Now()
	status, err := s.post(ctx, target, secret, event, begin)
	attempt := contract.DeliveryAttempt{At: begin.UTC(), StatusCode: status, DurationMS: time.Since(begin).Milliseconds()}
	if err != nil {
		attempt.Error = err.Error()[:min(len(err.Error()), maxError)]
	}
	return attempt
}

func (s *Sender) post(ctx context.Context, target, secret string, event app.Event, at time.Time) (int, error) {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return 0, fmt.Errorf("sign: %w", err)
	}
	signature, err := signer.Sign(event.ID, at, event.Data)
	if err != nil {
		return 0, fmt.Errorf("sign: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(event.Data))
	if err != nil {
		return 0, fmt.Errorf("make the request: %w", err)
	}
	for name, value := range event.Header {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "rdev-webhooks/1")
	request.Header.Set(standardwebhooks.HeaderWebhookID, event.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	response, err := s.client.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL, which the reader knows
		}
		return 0, err
	}
	defer response.Body.Close()
	// Reading a little lets the connection be used again; the answer's status
	// stands, whatever becomes of its body.
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return code, nil
	case code >= 300 && code < 400:
		return code, fmt.Errorf("answered %d: redirects are not followed", code)
	default:
		return code, fmt.Errorf("answered %d", code)
	}
}
