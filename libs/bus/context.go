package bus

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
)

type actorKey struct{}

// WithActor names who asks for what is appended or called under ctx, as key:ci.
// Without it the service itself is the actor.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// ActorOf is who asked for what is done under ctx: WithActor's, or in a handler
// of Answer the one that Call sent, "" where nobody was named.
func ActorOf(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}

func (c *Conn) actor(ctx context.Context) string {
	if actor := ActorOf(ctx); actor != "" {
		return actor
	}
	return "service:" + c.service
}

// injectTrace writes the trace context of ctx into a message's headers.
func injectTrace(ctx context.Context, h nats.Header) {
	propagation.TraceContext{}.Inject(ctx, headerCarrier(h))
}

// extractTrace is ctx under the trace context that a message carries.
func extractTrace(ctx context.Context, h nats.Header) context.Context {
	return propagation.TraceContext{}.Extract(ctx, headerCarrier(h))
}

// headerCarrier keeps the names as they are: W3C wants them in lower case.
type headerCarrier nats.Header

func (h headerCarrier) Get(key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (h headerCarrier) Set(key, value string) { h[key] = []string{value} }

func (h headerCarrier) Keys() []string {
	keys := make([]string, 0, len(h))
	for key := range h {
		keys = append(keys, key)
	}
	return keys
}
