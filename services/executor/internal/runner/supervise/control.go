package supervise

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// answerWithin is how long a supervisor may take to answer.
const answerWithin = 10 * time.Second

// Order is what a supervisor is told through its socket: one line of JSON, and
// then Size bytes of input. It answers with a line that holds a wire.Reply.
type Order struct {
	// Key is that of the run's record. A confined program can reach the socket,
	// but cannot read the record.
	Key string `json:"key"`
	// Cancel begins the ladder; the answer does not wait for its end.
	Cancel bool          `json:"cancel,omitempty"`
	Grace  time.Duration `json:"grace,omitempty"`
	// Otherwise it is input.
	Size  int  `json:"size,omitempty"`
	Close bool `json:"close,omitempty"`
}

// Tell gives a run's supervisor an order and waits until it was taken.
func Tell(run *store.Run, order Order, data []byte) (wire.Reply, error) {
	var reply wire.Reply
	conn, err := run.Dial()
	if err != nil {
		return reply, fmt.Errorf("reach supervisor of run %s: %w", run.ID, err)
	}
	defer conn.Close()
	order.Key, order.Size = run.Record.Key, len(data)
	err = errors.Join(conn.SetDeadline(time.Now().Add(answerWithin)), json.NewEncoder(conn).Encode(order))
	if err == nil {
		_, err = conn.Write(data)
	}
	if err == nil {
		err = json.NewDecoder(conn).Decode(&reply)
	}
	if err != nil {
		return reply, fmt.Errorf("tell supervisor of run %s: %w", run.ID, err)
	}
	return reply, nil
}

// desk takes the orders.
type desk struct {
	key     string
	in      *input
	cancels chan time.Duration
	over    chan struct{} // closed when nothing is left to cancel
}

// serve takes orders until the listener is closed.
func (d *desk) serve(listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			reply := wire.Reply{}
			if err := d.obey(conn); errors.Is(err, errInputClosed) {
				reply = wire.Reply{Fault: wire.FaultInputClosed, Message: err.Error()}
			} else if err != nil {
				reply = wire.Reply{Fault: wire.FaultInternal, Message: err.Error()}
			}
			// A caller that is gone asks again.
			_ = json.NewEncoder(conn).Encode(reply)
		}()
	}
}

func (d *desk) obey(conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	decoder := json.NewDecoder(conn)
	var order Order
	if err := decoder.Decode(&order); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(order.Key), []byte(d.key)) != 1 {
		return errors.New("read order: wrong key")
	}
	if order.Cancel {
		select {
		case d.cancels <- order.Grace:
		case <-d.over:
		}
		return nil
	}
	if order.Size < 0 || order.Size > maxPending {
		return errInputFull
	}
	rest := io.MultiReader(decoder.Buffered(), conn)
	if _, err := io.ReadFull(rest, make([]byte, 1)); err != nil { // the line's end
		return fmt.Errorf("read order: %w", err)
	}
	data := make([]byte, order.Size)
	if _, err := io.ReadFull(rest, data); err != nil {
		return fmt.Errorf("read input: %w", err)
	}
	return d.in.add(data, order.Close)
}
