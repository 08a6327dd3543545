// Package session carries any number of rdev-runner's subcommands over one
// connection, such as the standard streams of "rdev-runner serve", each on a
// stream of its own: starting a run costs no process but the run's, and nothing
// has to be asked of whoever made the connection.
//
// A stream begins with the arguments as one line of a JSON array. What follows is
// the subcommand's standard input until the caller closes its side, and what comes
// back its standard output.
package session

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// hello is what Serve says first: the other side knows then that it is connected,
// and to what.
const hello = "rdev-runner session 1\n"

// maxArguments bounds the line of arguments, in bytes.
const maxArguments = 16 << 10

// Command carries out a subcommand.
type Command func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer)

// Serve carries out what comes over a connection until that ends, and returns
// when all that had begun is done.
func Serve(ctx context.Context, conn io.ReadWriteCloser, carryOut Command) error {
	if _, err := io.WriteString(conn, hello); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	mux, err := yamux.Server(conn, config())
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer mux.Close()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		stream, err := mux.AcceptStreamWithContext(ctx)
		if err != nil {
			return nil // the caller has gone, as it does some day
		}
		calls.Go(func() {
			defer stream.Close()
			in := bufio.NewReaderSize(stream, maxArguments)
			line, err := in.ReadSlice('\n')
			var args []string
			if err == nil {
				err = json.Unmarshal(line, &args)
			}
			if err == nil {
				carryOut(ctx, args, in, stream)
			}
		})
	}
}

func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.KeepAliveInterval, c.ConnectionWriteTimeout = keepAlive, writeWithin
	c.LogOutput = io.Discard // its errors are those of the streams
	return c
}

const (
	keepAlive   = 10 * time.Second
	writeWithin = 20 * time.Second
)
