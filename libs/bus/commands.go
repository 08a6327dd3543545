package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// Errors that tell the bus what to do with a message.
var (
	// ErrPoison is wrapped by a handler's error where no delivery can ever go
	// well: the message is dropped, and NATS keeps an advisory of it.
	ErrPoison = errors.New("poison message")
	// ErrLeaveUnacked is wrapped where somebody else settles the message: the
	// newer attempt, or the one of this process that still runs.
	ErrLeaveUnacked = errors.New("somebody else settles the message")
)

// ErrLaneTaken is returned where a lane still holds a command.
var ErrLaneTaken = errors.New("the lane is taken")

// Offer puts a command on its lane, or returns ErrLaneTaken. Offering the same
// twice is harmless: whoever takes it looks at the operation first.
func (c *Conn) Offer(ctx context.Context, lane contract.Lane, cmd contract.RunOperation) error {
	body, err := json.Marshal(cmd)
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err = c.js.Publish(ctx, lane.Subject(), body,
		jetstream.WithExpectStream(contract.StreamCommands), jetstream.WithRetryAttempts(0))
	if errorCode(err) == errMaximumExceeded {
		return ErrLaneTaken
	}
	if err != nil {
		return fmt.Errorf("offer %s on %s: %w", cmd.Operation, lane.Subject(), err)
	}
	return nil
}

// OnLane reads the command that a lane holds, or contract.ErrNotFound.
func (c *Conn) OnLane(ctx context.Context, lane contract.Lane) (contract.RunOperation, error) {
	var cmd contract.RunOperation
	e, err := c.last(ctx, contract.StreamCommands, lane.Subject())
	if err != nil {
		return cmd, err
	}
	if err := json.Unmarshal(e.Data, &cmd); err != nil {
		return cmd, fmt.Errorf("lane %s: %w", lane.Subject(), err)
	}
	return cmd, nil
}

// Delivery is a command in the hands of a handler.
type Delivery struct {
	Command contract.RunOperation
	msg     jetstream.Msg
	conn    *Conn
}

// Renew tells NATS that the command is worked on, and returns once NATS has
// certainly heard it. Without it the command goes to another after AckWait.
func (d Delivery) Renew(ctx context.Context) error {
	if err := d.msg.InProgress(); err != nil {
		return fmt.Errorf("renew %s: %w", d.Command.Operation, err)
	}
	if err := d.conn.Ready(ctx); err != nil {
		return fmt.Errorf("renew %s: %w", d.Command.Operation, err)
	}
	return nil
}

// Work takes commands of a consumer, as many at a time as there are slots, until
// ctx is done; handlers then go on until they return, under workCtx. A handler
// that returns nil has settled the operation for good, and only then is the lane
// free. Its error decides about the message: see ErrPoison and ErrLeaveUnacked;
// any other has the message come again.
func (c *Conn) Work(ctx, workCtx context.Context, consumer string, slots int, log *slog.Logger, handle func(context.Context, Delivery) error) error {
	cons, err := c.consumer(ctx, contract.StreamCommands, consumer, log)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	for range slots {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				c.workOne(ctx, workCtx, cons, log, handle)
			}
		}()
	}
	for range slots {
		<-done
	}
	return nil
}

// pullFor is how long one request for a command waits at the server.
const pullFor = 20 * time.Second

func (c *Conn) workOne(ctx, workCtx context.Context, cons jetstream.Consumer, log *slog.Logger, handle func(context.Context, Delivery) error) {
	pull, cancel := context.WithTimeout(ctx, pullFor)
	msg, err := cons.Next(jetstream.FetchContext(pull))
	cancel()
	if err != nil {
		// Nothing there, or NATS is away; the pause keeps an outage from spinning.
		if !nothingCame(err) {
			_ = wait(ctx, 200*time.Millisecond)
		}
		return
	}
	d := Delivery{msg: msg, conn: c}
	begin := time.Now()
	err = json.Unmarshal(msg.Data(), &d.Command)
	if err == nil && d.Command.Operation == "" {
		err = errors.New("no operation")
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrPoison, err)
	} else {
		err = handle(extractTrace(workCtx, msg.Headers()), d)
	}
	c.settle(workCtx, msg, err, log.With("kind", d.Command.Kind, "operation", d.Command.Operation, "took", time.Since(begin).Round(time.Millisecond)))
}

// settle answers the server for a handler.
func (c *Conn) settle(ctx context.Context, msg jetstream.Msg, err error, log *slog.Logger) {
	var answerErr error
	switch {
	case err == nil:
		log.Info("command done")
		// The lane is free once the server knows; an ack that is lost brings the
		// command back, and whoever gets it finds the operation ended.
		ack, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		answerErr = msg.DoubleAck(ack)
		cancel()
	case errors.Is(err, ErrPoison):
		log.Error("command dropped", "error", err)
		answerErr = msg.TermWithReason(err.Error())
	case errors.Is(err, ErrLeaveUnacked), errors.Is(err, contract.ErrFenced):
		log.Info("command left to another", "error", err)
	default:
		log.Warn("command comes again", "error", err)
		answerErr = msg.NakWithDelay(redeliverAfter(msg))
	}
	if answerErr != nil {
		log.Warn("answer to NATS lost", "error", answerErr)
	}
}

// redeliverAfter grows from a second to half a minute.
func redeliverAfter(msg jetstream.Msg) time.Duration {
	deliveries := uint64(1)
	if meta, err := msg.Metadata(); err == nil {
		deliveries = meta.NumDelivered
	}
	return min(time.Second<<min(deliveries-1, 5), 30*time.Second)
}

// TakeBack has the commands of a consumer come again at once that were taken
// and not settled. It is for a process that knows that nobody else works on
// them: else the lease decides.
func (c *Conn) TakeBack(ctx context.Context, consumer string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := c.js.ResetConsumer(ctx, contract.StreamCommands, consumer); err != nil {
		return fmt.Errorf("take back the commands of %s: %w", consumer, err)
	}
	return nil
}

// nothingCame tells whether a pull just ended without a message.
func nothingCame(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, nats.ErrTimeout)
}
