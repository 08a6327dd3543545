package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

func newWorkAddCommand(c *cli) *cobra.Command {
	key := ""
	cmd := &cobra.Command{
		Use: "add FILE", Short: "Queue many pieces of work", Args: arguments("FILE"),
		Long: `Queue many pieces of work, and do not wait for them. FILE, or stdin where that is -,
holds them as the body of POST /work has each: as a JSON array, or one after the
other. The IDs of what is queued go to stdout, in the order of the file; what is
refused is told on stderr, and the others are queued all the same. It exits with 1
where any was refused. With -o json, each item is a line of its own, with its
operation or its error.

With --idempotency-key the same file can be given again, and nothing is done twice.`,
		Example: `  rdev work add nightly.json
  rdev work add - --idempotency-key nightly-7 <<'END'
  {"kind":"test","project":"shop","repository":{"url":"https://git.example.com/shop.git"},"argv":["make","test"]}
  {"kind":"build","project":"shop","script":"make","priority":"low","max_attempts":3,"labels":{"pipeline":"nightly"}}
  END
  rdev work add nightly.json -o json | jq -r '.error.detail // empty'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := readItems(cmd, args[0])
			if err != nil {
				return err
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			return c.addWork(cmd, api, items, key)
		},
	}
	cmd.Flags().StringVar(&key, "idempotency-key", "", "queue it once for this key, however often this is run")
	return cmd
}

// readItems reads what a file has: a JSON array, or values one after the other. Each
// has to be an object.
func readItems(cmd *cobra.Command, path string) ([]json.RawMessage, error) {
	in, name := cmd.InOrStdin(), "stdin"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read the work: %w", err)
		}
		defer file.Close()
		in, name = file, path
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read the work: %w", err)
	}
	var items []json.RawMessage
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("[")) {
		if err := json.Unmarshal(text, &items); err != nil {
			return nil, fmt.Errorf("%s is no JSON array: %w", name, err)
		}
	} else {
		for values := json.NewDecoder(bytes.NewReader(text)); ; {
			var item json.RawMessage
			err := values.Decode(&item)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("item %d of %s is no JSON: %w", len(items)+1, name, err)
			}
			items = append(items, item)
		}
	}
	for i, item := range items {
		if !bytes.HasPrefix(item, []byte("{")) {
			return nil, fmt.Errorf("item %d of %s is no JSON object: %s", i+1, name, render.Cut(render.Line(string(item)), 60))
		}
		// As it is sent: on one line, which tells how long it is.
		if items[i], err = json.Marshal(item); err != nil {
			return nil, fmt.Errorf("item %d of %s: %w", i+1, name, err)
		}
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("%s has no work in it", name)
	}
	return items, nil
}

// addWork queues items, as many at a time as the gateway takes.
func (c *cli) addWork(cmd *cobra.Command, api *client.Client, items []json.RawMessage, key string) error {
	if key == "" {
		key = rand.Text()
	}
	done, refused := 0, 0
	for n, batch := range batches(items, client.MostWork, client.MostWorkBytes) {
		one := key
		if n > 0 {
			one = fmt.Sprintf("%s-%d", key, n+1)
		}
		outcomes, err := api.AddAllWork(cmd.Context(), batch, one)
		if err == nil && len(outcomes) != len(batch) {
			err = fmt.Errorf("the gateway answered %d outcomes", len(outcomes))
		}
		if err != nil {
			err = fmt.Errorf("items %d to %d: %w", done+1, done+len(batch), err)
			if _, unknown := errors.AsType[*client.UnreachableError](err); done > 0 || unknown {
				err = &hinted{err, "Nothing is done twice where it is run again with --idempotency-key " + key}
			}
			return err
		}
		for i, outcome := range outcomes {
			if outcome.Operation == nil {
				refused++
			}
			if err := c.tellOutcome(cmd, done+i+1, outcome); err != nil {
				return err
			}
		}
		done += len(batch)
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d items were refused", refused, len(items))
	}
	return nil
}

// tellOutcome tells what became of the item of a number.
func (c *cli) tellOutcome(cmd *cobra.Command, number int, outcome client.WorkOutcome) error {
	out := cmd.OutOrStdout()
	var err error
	switch {
	case c.json():
		err = writeJSONLine(out, outcome)
	case outcome.Operation != nil:
		_, err = fmt.Fprintln(out, render.Line(outcome.Operation.ID))
	case outcome.Error != nil:
		notes := cmd.ErrOrStderr()
		_, err = fmt.Fprintf(notes, "rdev: item %d: %s\n", number, render.Line(outcome.Error.Error()))
		tellFields(notes, outcome.Error, "")
	default:
		err = fmt.Errorf("item %d has neither an operation nor an error", number)
	}
	if err != nil {
		return fmt.Errorf("tell of item %d: %w", number, err)
	}
	return nil
}

// batches cuts items into parts of at most so many, and so many bytes in all; an item
// of more than that is a part of its own.
func batches(items []json.RawMessage, most, bytes int) [][]json.RawMessage {
	var all [][]json.RawMessage
	size := 0
	for i, item := range items {
		size += len(item) + len(",")
		last := len(all) - 1
		if last < 0 || len(all[last]) == most || size > bytes {
			all = append(all, items[i:i+1:i+1])
			size = len(item) + len(",")
			continue
		}
		all[last] = append(all[last], item)
	}
	return all
}
