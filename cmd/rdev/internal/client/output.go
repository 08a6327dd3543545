package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"strconv"

	"github.com/orchard9/rdev/libs/contract"
)

// Kinds of what an operation's output consists of, beside those of
// contract.OutputStdout, OutputStderr and OutputAgent.
const (
	OutputState = "state" // the operation changed
	OutputGap   = "gap"   // output was forgotten
	OutputEnd   = "end"   // the operation as it ended; the last one
)

// Output is one piece of an operation's output. Kind says which fields are set.
type Output struct {
	Kind string
	Seq  uint64          // cursor in the output's stream, 0 where it has none
	Raw  json.RawMessage // as the gateway sent it

	Step      string              // stdout, stderr, agent, gap of a build: whose it is
	Data      []byte              // stdout, stderr: the bytes as the command wrote them
	Agent     contract.AgentEvent // agent
	Operation Operation           // state, end
	Gap       Gap                 // gap
}

// Gap is output that is not kept any more, between two sequences.
type Gap struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Output reads what an operation puts out, from the sequence on (0 is the
// beginning): up to and with its end, or without follow what there is by now. Each
// piece comes once, however often the
// connection is cut.
func (c *Client) Output(ctx context.Context, id string, from uint64, follow bool) iter.Seq2[Output, error] {
	return c.outputs(ctx, operationPath(id)+"/output", "operation "+id, url.Values{}, from, follow)
}

// outputs reads the output of what is at a path.
func (c *Client) outputs(ctx context.Context, path, what string, query url.Values, from uint64, follow bool) iter.Seq2[Output, error] {
	if !follow {
		query.Set("follow", "false")
	}
	if from > 0 {
		query.Set("from_seq", strconv.FormatUint(from, 10))
	}
	ended := func(f frame) bool { return f.event == OutputEnd }
	return func(yield func(Output, error) bool) {
		var seen repeated
		for f, err := range c.follow(ctx, path, query, ended) {
			if err != nil {
				yield(Output{}, fmt.Errorf("follow %s: %w", what, err))
				return
			}
			output, err := parseOutput(f)
			if err != nil {
				yield(Output{}, fmt.Errorf("follow %s: read %s: %w", what, f.event, err))
				return
			}
			if !seen.before(output) && !yield(output, nil) {
				return
			}
		}
	}
}

// repeated tells which of the pieces without a cursor a resumed stream says again.
type repeated struct {
	rev  int
	gaps map[string]uint64 // by step
}

func (r *repeated) before(o Output) bool {
	switch o.Kind {
	case OutputState:
		if o.Operation.Rev > 0 && o.Operation.Rev <= r.rev {
			return true
		}
		r.rev = o.Operation.Rev
	case OutputGap:
		if o.Gap.To <= r.gaps[o.Step] {
			return true
		}
		if r.gaps == nil {
			r.gaps = map[string]uint64{}
		}
		r.gaps[o.Step] = o.Gap.To
	}
	return false
}

// parseOutput reads a frame. A kind that is not known keeps only its raw data.
func parseOutput(f frame) (Output, error) {
	output := Output{Kind: f.event, Raw: f.data}
	if f.id != "" {
		seq, err := strconv.ParseUint(f.id, 10, 64)
		if err != nil {
			return output, fmt.Errorf("its id is no sequence: %w", err)
		}
		output.Seq = seq
	}
	var err error
	switch f.event {
	case contract.OutputStdout, contract.OutputStderr:
		output.Step, output.Data, err = parseBytes(f.data)
	case contract.OutputAgent:
		of := struct {
			*contract.AgentEvent

			Step *string `json:"step"`
		}{&output.Agent, &output.Step}
		err = json.Unmarshal(f.data, &of)
	case OutputState, OutputEnd:
		err = json.Unmarshal(f.data, &output.Operation)
	case OutputGap:
		of := struct {
			*Gap

			Step *string `json:"step"`
		}{&output.Gap, &output.Step}
		err = json.Unmarshal(f.data, &of)
	}
	return output, err
}

// parseBytes is what a command wrote: text as it is, anything else in base64. Of a build
// it has the step.
func parseBytes(text []byte) (step string, data []byte, err error) {
	var chunk struct {
		Step     string `json:"step"`
		Data     string `json:"data"`
		Encoding string `json:"encoding"`
	}
	if err := json.Unmarshal(text, &chunk); err != nil {
		return "", nil, err
	}
	switch chunk.Encoding {
	case "":
		return chunk.Step, []byte(chunk.Data), nil
	case "base64":
		data, err = base64.StdEncoding.DecodeString(chunk.Data)
		return chunk.Step, data, err
	default:
		return "", nil, fmt.Errorf("unknown encoding %q", chunk.Encoding)
	}
}
