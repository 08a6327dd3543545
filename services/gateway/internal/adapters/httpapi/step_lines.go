package httpapi

import (
	"bytes"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// maxLine is from when on a line is not waited for to end, in bytes.
const maxLine = 64 << 10

// stepLines writes the output of a build as plain text: each line begins with the step
// that it is of, and is written once it is whole, so that no line is of two.
type stepLines struct {
	to    plainSink
	steps map[string]string // names, by operation
	lines []*openLine
	state *contract.Operation // as it was told last
}

// openLine is what a stream of a step has written after its last line break.
type openLine struct {
	operation, stream string

	text []byte
	next int64 // offset of what follows
}

// Chunk implements bus.OutputSink.
func (p *stepLines) Chunk(c contract.Chunk) error {
	line := p.line(c.Operation, c.Stream)
	data := c.Data
	if c.Stream == contract.OutputAgent {
		data = append(bytes.Clone(data), '\n')
	}
	var out []byte
	if c.Offset != line.next { // something is missing between, or another try begins
		out = p.end(out, line)
	}
	line.next = c.Offset + int64(len(c.Data))
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n') + 1
		if end == 0 {
			end = len(data)
		}
		end = min(end, maxLine-len(line.text))
		line.text, data = append(line.text, data[:end]...), data[end:]
		if n := len(line.text); n == maxLine || line.text[n-1] == '\n' {
			out = p.end(out, line)
		}
	}
	return p.write(out)
}

func (p *stepLines) line(operation, stream string) *openLine {
	for _, line := range p.lines {
		if line.operation == operation && line.stream == stream {
			return line
		}
	}
	line := &openLine{operation: operation, stream: stream}
	p.lines = append(p.lines, line)
	return line
}

// end appends a line as it is, if there is something of it.
func (p *stepLines) end(out []byte, line *openLine) []byte {
	if len(line.text) == 0 {
		return out
	}
	out = append(p.begin(out, line.operation), bytes.TrimSuffix(line.text, []byte("\n"))...)
	line.text = line.text[:0]
	return append(out, '\n')
}

func (p *stepLines) begin(out []byte, operation string) []byte {
	return fmt.Appendf(out, "[%s] ", p.steps[operation])
}

// endAll writes the lines that are open, of steps that nothing more comes of.
func (p *stepLines) endAll(over func(operation string) bool) error {
	var out []byte
	open := p.lines[:0]
	for _, line := range p.lines {
		if over(line.operation) {
			out = p.end(out, line)
		} else {
			open = append(open, line)
		}
	}
	p.lines = open
	return p.write(out)
}

func (p *stepLines) write(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	return p.to.write(out)
}

// State implements bus.OutputSink.
func (p *stepLines) State(op *contract.Operation) error {
	p.state = op
	return p.endEnded()
}

// Idle implements bus.OutputSink. Of steps that had ended before the stream began only
// this tells that all was seen.
func (p *stepLines) Idle() error { return p.endEnded() }

// endEnded writes what is open of steps that have ended: all of their output was told.
func (p *stepLines) endEnded() error {
	ended := map[string]bool{}
	for _, step := range p.state.Build.Steps {
		ended[step.Operation] = step.State.Ended()
	}
	return p.endAll(func(operation string) bool { return ended[operation] })
}

// Gap implements bus.OutputSink.
func (p *stepLines) Gap(operation string, from, to uint64) error {
	out := fmt.Appendf(p.begin(nil, operation), "[output %d to %d is not kept any more]\n", from, to)
	if err := p.endAll(func(of string) bool { return of == operation }); err != nil {
		return err
	}
	return p.write(out)
}

// End implements bus.OutputSink.
func (p *stepLines) End(*contract.Operation) error {
	return p.endAll(func(string) bool { return true })
}
