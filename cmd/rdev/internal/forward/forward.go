// Package forward posts events of the log to a URL as the notifier posts them to a
// webhook, so that a receiver can be written and tried on a machine that no webhook
// reaches.
package forward

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

// Limits of one request, which are the notifier's.
const (
	requestTimeout = 10 * time.Second // from the first packet to the last byte of the answer
	maxAnswer      = 64 << 10         // bytes of the answer that are read
	maxExcerpt     = 1 << 10          // bytes of an answer that are kept
)

// secretPrefix and secretBytes are of secrets as the notifier makes them.
const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// NewSecret makes a signing secret, whsec_….
func NewSecret() string {
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// Forwarder posts events to one URL. It is for one goroutine.
type Forwarder struct {
	target string
	signer *standardwebhooks.Webhook
	client *http.Client
	prev   uint64 // sequence of the event sent last
}

// New checks the URL and the secret; it does not connect.
func New(target, secret string) (*Forwarder, error) {
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q must look like http://127.0.0.1:3000", target)
	}
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil || !strings.HasPrefix(secret, secretPrefix) || secret == secretPrefix {
		return nil, errors.New("the secret must be whsec_ and base64")
	}
	return &Forwarder{target: target, signer: signer, client: &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes the connections that wait for another request.
func (f *Forwarder) Close() { f.client.CloseIdleConnections() }

// Send posts an event once. What became of it is a delivery of one attempt: delivered
// where the answer was 2xx, dead where it was not.
func (f *Forwarder) Send(ctx context.Context, event client.Event) contract.Delivery {
	id := idOf(event)
	begin := time.Now()
	attempt := contract.DeliveryAttempt{At: begin.UTC()}
	status := contract.DeliveryDelivered
	if err := f.post(ctx, event, id, begin, &attempt); err != nil {
		attempt.Error, status = err.Error(), contract.DeliveryDead
	}
	attempt.DurationMS = time.Since(begin).Milliseconds()
	f.prev = event.Seq
	return contract.Delivery{
		ID: strconv.FormatUint(event.Seq, 10), EventID: id, Seq: event.Seq, Type: event.Entity + "." + event.Type, Status: status, Attempts: []contract.DeliveryAttempt{attempt},
	}
}

func (f *Forwarder) post(ctx context.Context, event client.Event, id string, at time.Time, attempt *contract.DeliveryAttempt) error {
	signature, err := f.signer.Sign(id, at, event.Data)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.target, bytes.NewReader(event.Data))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	for name, value := range f.headers(event, id) {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	response, err := f.client.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL, which the reader knows
		}
		return err
	}
	defer response.Body.Close()
	attempt.StatusCode = response.StatusCode
	body := io.LimitReader(response.Body, maxAnswer)
	if response.StatusCode/100 != 2 {
		begins, _ := io.ReadAll(io.LimitReader(body, maxExcerpt)) // what came of it
		attempt.Response = strings.ToValidUTF8(string(begins), "\uFFFD")
		err = fmt.Errorf("answered %d", response.StatusCode)
	}
	// Reading a little lets the connection be used again; the answer's status
	// stands, whatever becomes of its body.
	_, _ = io.Copy(io.Discard, body)
	return err
}

// headers are those of a request but for what is made of its time; empty ones are
// not sent.
func (f *Forwarder) headers(event client.Event, id string) map[string]string {
	return map[string]string{
		contract.HeaderEventID:           id,
		contract.HeaderType:              contract.TypePrefix + event.Entity + "." + event.Type + contract.TypeSuffix,
		contract.HeaderSource:            event.Source,
		contract.HeaderSubject:           event.ID,
		contract.HeaderTime:              event.Time.UTC().Format(time.RFC3339Nano),
		contract.HeaderSpecVersion:       "1.0",
		contract.HeaderProject:           event.Project,
		contract.HeaderTraceparent:       event.Traceparent,
		contract.HeaderSeq:               strconv.FormatUint(event.Seq, 10),
		contract.HeaderPrevSeq:           strconv.FormatUint(f.prev, 10),
		standardwebhooks.HeaderWebhookID: id,
		"Content-Type":                   "application/json",
		"User-Agent":                     "rdev-webhooks/1",
	}
}

// idPattern is what a webhook-id can look like.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// idOf is the id of an event, or its sequence where it was published by hand without.
func idOf(event client.Event) string {
	if idPattern.MatchString(event.EventID) {
		return event.EventID
	}
	return "seq-" + strconv.FormatUint(event.Seq, 10)
}
