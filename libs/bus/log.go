package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// Errors of the log.
var (
	// ErrConflict is returned where another writer appended first: load again
	// and decide again.
	ErrConflict = errors.New("another event came first")
	// ErrFull is returned where the log has no room: nothing was stored.
	ErrFull = errors.New("the event log is full")
)

// JetStream error codes that a guarded append tells apart.
const (
	errWrongLastSequence jetstream.ErrorCode = 10071
	errInFlight          jetstream.ErrorCode = 10164 // the same of a replicated stream that is about to store another's
	errMaximumExceeded   jetstream.ErrorCode = 10077 // bytes, messages, or messages on the subject
	errMessageTooLarge   jetstream.ErrorCode = 10054
	errInsufficientSpace jetstream.ErrorCode = 10047
)

// entry is a stored message.
type entry struct {
	Subject string
	Seq     uint64
	Header  nats.Header
	Data    []byte
	Time    time.Time
}

// last reads the last message of a stream that a filter matches, from the
// leader: a direct get may answer from a replica that is behind.
func (c *Conn) last(ctx context.Context, stream, filter string) (entry, error) {
	return c.read(ctx, stream, `{"last_by_subj":`+strconv.Quote(filter)+`}`)
}

// successor reads the first message after seq that a filter matches.
func (c *Conn) successor(ctx context.Context, stream, filter string, seq uint64) (entry, error) {
	return c.read(ctx, stream, fmt.Sprintf(`{"seq":%d,"next_by_subj":%q}`, seq+1, filter))
}

func (c *Conn) read(ctx context.Context, stream, request string) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	reply, err := c.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, []byte(request))
	if err != nil {
		return entry{}, fmt.Errorf("read %s: %w", stream, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return entry{}, fmt.Errorf("read %s: %w", stream, err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return entry{}, contract.ErrNotFound
		}
		return entry{}, fmt.Errorf("read %s: %w", stream, answer.Error)
	}
	m := answer.Message
	header := nats.Header{}
	if len(m.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return entry{}, fmt.Errorf("read %s at %d: %w", stream, m.Seq, err)
		}
	}
	return entry{Subject: m.Subject, Seq: m.Seq, Header: header, Data: m.Data, Time: m.Time}, nil
}

// draft is an event that is not stored yet.
type draft struct {
	entity, eventType, id string
	project               string
	traceparent           string // where ctx has no trace of its own
	body                  any
	after                 uint64 // sequence of the entity's last event, 0 where there is none
}

// append stores an event as the direct successor of the entity's last one and
// returns its sequence, or ErrConflict where another was first. What became of
// a publish whose answer was lost is found out before it returns; only the end
// of ctx leaves it open.
func (c *Conn) append(ctx context.Context, d draft) (uint64, error) {
	m, err := c.message(ctx, d)
	if err != nil {
		return 0, err
	}
	return c.store(ctx, d, m)
}

// message is the event as it is published, under its guard.
func (c *Conn) message(ctx context.Context, d draft) (*nats.Msg, error) {
	body, err := json.Marshal(d.body)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	// One id for one append: never made of the revision, for a replicated stream
	// looks for duplicates before it looks at the guard, and would answer the
	// loser of a race with the winner's success.
	eventID := uuid.NewString()
	m := nats.NewMsg(contract.AppendSubject(d.entity, d.eventType, d.id))
	m.Data = body
	m.Header = nats.Header{
		"Nats-Msg-Id":                                 {eventID},
		"Nats-Expected-Stream":                        {contract.StreamEvents},
		"Nats-Expected-Last-Subject-Sequence":         {strconv.FormatUint(d.after, 10)},
		"Nats-Expected-Last-Subject-Sequence-Subject": {contract.EventFilter(d.entity, d.id)},
		contract.HeaderEventID:                        {eventID},
		contract.HeaderSpecVersion:                    {"1.0"},
		contract.HeaderType:                           {contract.TypePrefix + d.entity + "." + d.eventType + contract.TypeSuffix},
		contract.HeaderSource:                         {"/rdev/" + c.service + "/" + c.instance},
		contract.HeaderSubject:                        {d.id},
		contract.HeaderTime:                           {time.Now().UTC().Format(time.RFC3339Nano)},
		contract.HeaderContentType:                    {"application/json"},
		contract.HeaderActor:                          {c.actor(ctx)},
	}
	if d.project != "" {
		m.Header[contract.HeaderProject] = []string{d.project}
	}
	injectTrace(ctx, m.Header)
	if d.traceparent != "" && m.Header[contract.HeaderTraceparent] == nil {
		m.Header[contract.HeaderTraceparent] = []string{d.traceparent}
	}
	return m, nil
}

// store is append of a message, which may have been published before.
func (c *Conn) store(ctx context.Context, d draft, m *nats.Msg) (uint64, error) {
	pause := 10 * time.Millisecond
	for {
		seq, err := c.publish(ctx, m)
		if err == nil {
			return seq, nil
		}
		// The log decides: guarded, our event can only be the direct successor.
		next, readErr := c.successor(ctx, contract.StreamEvents, contract.EventFilter(d.entity, d.id), d.after)
		switch {
		case readErr == nil && next.Header.Get(contract.HeaderEventID) == m.Header.Get(contract.HeaderEventID):
			return next.Seq, nil
		case readErr == nil:
			return 0, ErrConflict
		case errors.Is(readErr, contract.ErrNotFound) && refusedForGood(err):
			return 0, refusal(err)
		}
		if wait(ctx, pause) != nil {
			return 0, fmt.Errorf("append %s.%s of %s: %w (last: %w)", d.entity, d.eventType, d.id, context.Cause(ctx), err)
		}
		pause = min(2*pause, 500*time.Millisecond)
	}
}

// publish stores a message once it is acknowledged. A duplicate counts as an
// error, for the log must tell whose it is.
func (c *Conn) publish(ctx context.Context, m *nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ack, err := c.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	if ack.Duplicate {
		return 0, errors.New("duplicate event id")
	}
	return ack.Sequence, nil
}

func errorCode(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}

func refusedForGood(err error) bool {
	switch errorCode(err) {
	case errMaximumExceeded, errMessageTooLarge, errInsufficientSpace:
		return true
	}
	return errors.Is(err, nats.ErrMaxPayload)
}

func refusal(err error) error {
	if code := errorCode(err); code == errMaximumExceeded || code == errInsufficientSpace {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("append event: %w: %w", contract.ErrTooLarge, err)
}
