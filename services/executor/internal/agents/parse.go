package agents

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Parse reads what a CLI printed and writes its events, one JSON object per
// line and the result last. exitCode is that of the CLI: 0 where it is nil, and
// where it is negative the CLI was ended by the signal with that number.
func Parse(provider string, exitCode *int, in io.Reader, out io.Writer) error {
	driver, ok := Lookup(provider)
	if !ok {
		return fmt.Errorf("parse agent output: no agent is called %q", provider)
	}
	parser, encoder := driver.NewParser(), json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	write := func(events []contract.AgentEvent) error {
		for _, event := range events {
			if err := encoder.Encode(event); err != nil {
				return fmt.Errorf("write event %d: %w", event.Seq, err)
			}
		}
		return nil
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := in.Read(buffer)
		if err := write(parser.Stdout(buffer[:n], time.Time{})); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return write(parser.Result(exited(exitCode)))
		}
		if err != nil {
			return fmt.Errorf("read agent output: %w", err)
		}
	}
}

func exited(code *int) End {
	switch {
	case code == nil:
		return End{ExitCode: new(int)}
	case *code < 0:
		return End{Signal: signalName(-*code)}
	default:
		return End{ExitCode: code}
	}
}
