package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// buildOutput is the output of the steps of a build as one.
type buildOutput struct {
	output

	id    string
	steps map[string]string // names, by operation
}

// openBuildOutput is openOutput of a build.
func (h *handlers) openBuildOutput(r *http.Request) (buildOutput, error) {
	var none buildOutput
	how, err := h.followOf(r)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	op, err := h.loadBuild(ctx, r)
	if err != nil {
		return none, err
	}
	out := buildOutput{id: op.ID, steps: map[string]string{}}
	var wanted []string
	step := r.URL.Query().Get("step")
	for i, s := range op.Build.Steps {
		work := contract.StepOperation(op.ID, i)
		out.steps[work] = s.Name
		if step == "" || step == s.Name || step == s.Of {
			wanted = append(wanted, work)
		}
	}
	if len(wanted) == 0 {
		return none, invalidQuery("step", "names no step of the build")
	}
	out.output, err = h.Log.FollowBuild(ctx, op.ID, wanted, how)
	if errors.Is(err, contract.ErrNotFound) {
		out.output, err = forgotten{op}, nil
	}
	return out, err
}

// streamBuildOutput is streamOutput of all steps of a build as one.
func (h *handlers) streamBuildOutput(w http.ResponseWriter, r *http.Request) error {
	out, err := h.openBuildOutput(r)
	if err != nil {
		return err
	}
	defer out.Close()
	return h.tell(w, r, out, told{
		frames: func(to sender) bus.OutputSink { return h.buildFrames(to, out) },
		plain:  func(to plainSink) bus.OutputSink { return &stepLines{to: to, steps: out.steps} },
	})
}

// streamBuildOutputWS is streamBuildOutput over a WebSocket.
func (h *handlers) streamBuildOutputWS(w http.ResponseWriter, r *http.Request) error {
	out, err := h.openBuildOutput(r)
	if err != nil {
		return err
	}
	defer out.Close()
	return h.tellWS(w, r, out, func(to sender) bus.OutputSink { return h.buildFrames(to, out) })
}

func (h *handlers) buildFrames(to sender, out buildOutput) buildFrames {
	// Its frames are others than those of the operations that they are about.
	return buildFrames{frames: h.outputFrames(to, "build "+out.id), steps: out.steps}
}

// buildFrames makes frames of what a follower of a build sees.
type buildFrames struct {
	frames

	steps map[string]string // names, by operation
}

// ofStep says which step a frame is of.
type ofStep struct {
	Step      string `json:"step"`
	Operation string `json:"operation"`
}

func (f buildFrames) of(operation string) ofStep { return ofStep{f.steps[operation], operation} }

// Chunk implements bus.OutputSink.
func (f buildFrames) Chunk(c contract.Chunk) error {
	made, err := f.chunks.of(f.operation, c.Seq, func() (frame, error) { return encodeStepChunk(c, f.of(c.Operation)) })
	if err != nil {
		return err
	}
	return f.to.send(made)
}

func encodeStepChunk(c contract.Chunk, of ofStep) (frame, error) {
	if c.Stream != contract.OutputAgent {
		return encodeFrame(c.Seq, c.Stream, struct {
			ofStep
			textData
		}{of, textOf(c)})
	}
	event := rawJSON(c.Data)
	head, err := json.Marshal(of)
	if err != nil {
		return frame{}, fmt.Errorf("encode %s frame: %w", c.Stream, err)
	}
	return encodeFrame(c.Seq, c.Stream, joined(head, event))
}

// State implements bus.OutputSink.
func (f buildFrames) State(op *contract.Operation) error {
	made, err := f.states.of(f.operation, op.Seq, func() (frame, error) { return encodeFrame(0, "state", buildSummary(*op)) })
	if err != nil {
		return err
	}
	return f.to.send(made)
}

// Gap implements bus.OutputSink.
func (f buildFrames) Gap(operation string, from, to uint64) error {
	return f.send(0, "gap", struct {
		ofStep
		gapData
	}{f.of(operation), gapData{from, to}})
}

// End implements bus.OutputSink.
func (f buildFrames) End(op *contract.Operation) error { return f.send(0, "end", buildSummary(*op)) }

// joined is the JSON object of both. What is no object is in its field data.
func joined(head, tail json.RawMessage) json.RawMessage {
	tail = bytes.TrimSpace(tail)
	all := append(json.RawMessage{}, head[:len(head)-1]...)
	switch {
	case tail[0] != '{':
		all = append(append(append(all, `,"data":`...), tail...), '}')
	case len(bytes.TrimSpace(tail[1:])) > 1:
		all = append(append(all, ','), tail[1:]...)
	default:
		all = append(all, '}')
	}
	return all
}
