package main

import (
	"slices"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// voice is where the output of a step goes.
type voice struct {
	follower

	lines []*render.Prefixed
}

// voice is that of a step. Of one that is shown alone all comes as it is, but for a
// terminal with a board.
func (f *buildFollower) voice(step string) *voice {
	if known, ok := f.voices[step]; ok {
		return known
	}
	out, notes := f.out, f.notes
	made := &voice{}
	if f.screen || f.only != step {
		to, prefix := f.out, ""
		if f.screen {
			to = f.board
		}
		if f.only != step {
			index := slices.IndexFunc(f.build.Steps, func(s contract.BuildStep) bool { return s.Name == step })
			prefix = f.prefixes.Voice(index, "["+render.Line(step)+"]") + " "
		}
		for range 2 {
			made.lines = append(made.lines, &render.Prefixed{Out: to, Prefix: prefix, Screen: f.screen, Color: f.prefixes.Color})
		}
		out, notes = made.lines[0], made.lines[1]
	}
	made.follower = follower{
		out: out, notes: notes, style: f.prefixes,
		agent: &render.Agent{Out: out, Notes: notes, Style: f.prefixes},
	}
	f.voices[step] = made
	return made
}

// flush ends what has no end.
func (v *voice) flush() error {
	if err := v.agent.Flush(); err != nil {
		return err
	}
	for _, lines := range v.lines {
		if err := lines.Flush(); err != nil {
			return err
		}
	}
	return nil
}
