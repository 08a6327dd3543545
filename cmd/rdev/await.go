package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// await waits for the end of an operation and keeps a progress line: one that
// changes on a terminal, else one for each change of state.
func (c *cli) await(cmd *cobra.Command, api *client.Client, operation client.Operation, doing string) (client.Operation, error) {
	if operation.State.Ended() {
		return operation, nil
	}
	line := c.newProgressLine(cmd, doing)
	ended, err := api.Wait(cmd.Context(), operation.ID, line.show)
	line.clear()
	if err != nil {
		return ended, goesOn(err, operation)
	}
	return ended, nil
}

// awaitSteps is await of an operation on a project, with each of its steps as it comes.
func (c *cli) awaitSteps(cmd *cobra.Command, api *client.Client, operation client.Operation, doing string) (client.Operation, error) {
	if operation.State.Ended() {
		return operation, nil
	}
	line := c.newProgressLine(cmd, doing)
	defer line.clear()
	for output, err := range api.Output(cmd.Context(), operation.ID, 0, true) {
		if err != nil {
			return operation, goesOn(err, operation)
		}
		if output.Kind == client.OutputState || output.Kind == client.OutputEnd {
			operation = output.Operation
			line.show(operation)
		}
	}
	return operation, nil
}

func goesOn(err error, operation client.Operation) error {
	return &hinted{err, "The operation goes on without us: rdev ops get " + operation.ID}
}

// progressLine says how an operation stands that is waited for.
type progressLine struct {
	w     io.Writer
	live  bool // it is a line of a terminal, which changes
	style render.Style
	doing string
	began time.Time
	state contract.State           // that was told
	steps []contract.ProvisionStep // that were told
}

func (c *cli) newProgressLine(cmd *cobra.Command, doing string) *progressLine {
	w := cmd.ErrOrStderr()
	return &progressLine{w: w, live: isTerminal(w) && c.output != "plain", style: c.style(w), doing: doing, began: time.Now()}
}

func (p *progressLine) show(now client.Operation) {
	if p.live {
		text := p.style.Dim(fmt.Sprintf("%s, %s", now.State, time.Since(p.began).Round(time.Second)))
		if len(now.Provisioning) > 0 {
			text = p.style.ProvisionSigns(now.Provisioning)
		}
		// What is too long for the terminal is cut off: it does not wrap.
		fmt.Fprintf(p.w, "\r\x1b[K\x1b[?7l%s… %s\x1b[?7h", p.doing, text)
		return
	}
	if now.State != p.state && !now.State.Ended() {
		fmt.Fprintf(p.w, "%s… %s\n", p.doing, now.State)
	}
	for _, news := range render.ProvisionNews(p.steps, now.Provisioning) {
		fmt.Fprintf(p.w, "%s… %s\n", p.doing, news)
	}
	p.state, p.steps = now.State, now.Provisioning
}

func (p *progressLine) clear() {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
