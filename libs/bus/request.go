package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/orchard9/rdev/libs/contract"
)

// Service answers requests of other services, found with `nats service ls`.
type Service struct {
	conn *Conn
	svc  micro.Service
	log  *slog.Logger
}

// Serve registers this process under the service's name. Requests are shared
// between the processes of a service.
func (c *Conn) Serve(log *slog.Logger) (*Service, error) {
	svc, err := micro.AddService(c.nc, micro.Config{
		Name: c.service, Version: "1.0.0", Description: "rdev " + c.service,
		QueueGroup: c.service,
	})
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", c.service, err)
	}
	return &Service{conn: c, svc: svc, log: log}, nil
}

// Stop takes no more requests.
func (s *Service) Stop() error { return s.svc.Stop() }

// Answer registers the handler of one verb, at rdev.svc.<service>.<verb>. An
// error that is a *contract.Error reaches the caller as it is; any other is
// logged here and reaches the caller as INTERNAL.
func Answer[Request, Reply any](s *Service, verb string, handle func(context.Context, Request) (Reply, error)) error {
	subject := contract.ServiceSubject(s.conn.service, verb)
	err := s.svc.AddEndpoint(verb, micro.HandlerFunc(func(r micro.Request) {
		// The server calls one endpoint's handlers one after another; a request
		// that waits for a projection must not hold up the others.
		go s.answer(r, verb, func(ctx context.Context) (any, error) {
			var request Request
			if err := json.Unmarshal(r.Data(), &request); err != nil {
				return nil, &contract.Error{Code: contract.CodeInvalidRequest, Detail: err.Error()}
			}
			return handle(ctx, request)
		})
	}), micro.WithEndpointSubject(subject))
	if err != nil {
		return fmt.Errorf("answer %s: %w", subject, err)
	}
	return nil
}

func (s *Service) answer(r micro.Request, verb string, handle func(context.Context) (any, error)) {
	ctx := extractTrace(context.Background(), nats.Header(r.Headers()))
	if actor := r.Headers().Get(contract.HeaderActor); actor != "" {
		ctx = WithActor(ctx, actor)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*requestTimeout)
	defer cancel()
	reply, err := handle(ctx)
	m := nats.NewMsg(r.Reply())
	if err == nil {
		m.Data, err = json.Marshal(reply)
	}
	if err != nil {
		var known *contract.Error
		if !errors.As(err, &known) {
			s.log.Error("request failed", "verb", verb, "error", err)
			known = &contract.Error{Code: contract.CodeInternal, Detail: "the " + s.conn.service + " could not answer"}
		}
		m.Data, _ = json.Marshal(known) // strings only
		m.Header.Set(micro.ErrorCodeHeader, string(known.Code))
		m.Header.Set(micro.ErrorHeader, known.Detail)
	}
	// Not through r, which its own goroutine looks at when the handler returns.
	if err := s.conn.nc.PublishMsg(m); err != nil {
		s.log.Warn("reply lost", "verb", verb, "error", err)
	}
}

// Call asks a service in the name of WithActor's actor, and waits for its reply
// until ctx is done. Where nobody answers the error is a *contract.Error with UNAVAILABLE.
func Call[Request, Reply any](ctx context.Context, c *Conn, service, verb string, request Request) (Reply, error) {
	var reply Reply
	body, err := json.Marshal(request)
	if err != nil {
		return reply, fmt.Errorf("call %s.%s: %w", service, verb, err)
	}
	m := nats.NewMsg(contract.ServiceSubject(service, verb))
	m.Data = body
	m.Header.Set(contract.HeaderActor, c.actor(ctx))
	injectTrace(ctx, m.Header)
	answer, err := c.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return reply, &contract.Error{Code: contract.CodeUnavailable, Detail: fmt.Sprintf("the %s service does not answer", service)}
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		known := &contract.Error{Code: contract.Code(code), Detail: answer.Header.Get(micro.ErrorHeader)}
		if len(answer.Data) > 0 {
			_ = json.Unmarshal(answer.Data, known) // the headers say it already
		}
		return reply, known
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil {
		return reply, fmt.Errorf("reply of %s.%s: %w", service, verb, err)
	}
	return reply, nil
}

// AwaitService waits until a process of the service answers.
func (c *Conn) AwaitService(ctx context.Context, service string) error {
	subject, err := micro.ControlSubject(micro.PingVerb, service, "")
	if err != nil {
		return fmt.Errorf("await %s: %w", service, err)
	}
	for {
		one, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := c.nc.RequestWithContext(one, subject, nil)
		cancel()
		if err == nil {
			return nil
		}
		if wait(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("await %s: %w (last: %w)", service, context.Cause(ctx), err)
		}
	}
}
