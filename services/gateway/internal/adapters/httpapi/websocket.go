package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/coder/websocket"

	"github.com/orchard9/rdev/libs/bus"
)

// streamOutputWS is streamOutput over a WebSocket: the same frames as JSON.
func (h *handlers) streamOutputWS(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	out, err := h.openOutput(r, id)
	if err != nil {
		return err
	}
	defer out.Close()
	return h.tellWS(w, r, out, func(to sender) bus.OutputSink { return h.outputFrames(to, id) })
}

// tellWS sends an output over a WebSocket.
func (h *handlers) tellWS(w http.ResponseWriter, r *http.Request, out output, as func(sender) bus.OutputSink) error {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return ignoreLost(err) // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }() // closed already where all went well
	ctx, done := h.streaming(r)
	defer done()
	to := &webSocket{conn: conn, ctx: conn.CloseRead(ctx)}
	err = out.Feed(ctx, as(to))
	status, reason := websocket.StatusNormalClosure, "the operation has ended"
	switch {
	case err == nil:
	case errors.Is(err, errServerStops):
		status, reason, err = websocket.StatusGoingAway, "the gateway stops", nil
	default:
		problem := h.problemOf(err)
		if problem == nil {
			return nil
		}
		status, reason, err = websocket.StatusTryAgainLater, string(problem.Code), frames{to: to}.problem(problem)
	}
	if err == nil {
		_ = conn.Close(status, reason) // the client may have gone
	}
	return nil
}

type webSocket struct {
	conn *websocket.Conn
	ctx  context.Context
}

func (s *webSocket) send(f frame) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeoutStalled)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, body); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}

func (s *webSocket) beat() error {
	ctx, cancel := context.WithTimeout(s.ctx, timeoutStalled)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}
