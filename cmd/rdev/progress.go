package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

// progress is how much of an artifact has come, on a line of a terminal that changes.
type progress struct {
	w     io.Writer // nil for nobody
	what  string
	got   int64 // bytes
	all   int64
	shown time.Time
}

func (c *cli) progress(cmd *cobra.Command, artifact client.Artifact) *progress {
	p := &progress{what: render.Line(artifact.Path), all: artifact.Size}
	if w := cmd.ErrOrStderr(); isTerminal(w) && c.style(w).Color {
		p.w = w
	}
	return p
}

// progressEvery is how often the line changes.
const progressEvery = 100 * time.Millisecond

// Write implements io.Writer.
func (p *progress) Write(data []byte) (int, error) {
	p.got += int64(len(data))
	if now := time.Now(); p.w != nil && now.Sub(p.shown) >= progressEvery {
		p.shown = now
		fmt.Fprintf(p.w, "\r\x1b[K%s… %s of %s", p.what, render.Size(p.got), render.Size(p.all))
	}
	return len(data), nil
}

func (p *progress) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
