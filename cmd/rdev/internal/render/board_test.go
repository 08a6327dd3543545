package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// screen is a terminal as far as a board needs one: lines, a cursor that goes up, and what
// is below it erased.
type screen struct {
	t     *testing.T
	lines []string
	row   int
	wraps bool
}

// Write implements io.Writer.
func (s *screen) Write(data []byte) (int, error) {
	text := string(data)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[?7l"), strings.HasPrefix(text, "\x1b[?7h"):
			s.wraps, text = text[4] == 'h', text[5:]
		case strings.HasPrefix(text, "\x1b[J"):
			s.lines, text = s.lines[:s.row], text[3:]
		case strings.HasPrefix(text, "\x1b["):
			n, i := 0, 2
			for ; text[i] >= '0' && text[i] <= '9'; i++ {
				n = 10*n + int(text[i]-'0')
			}
			switch text[i] {
			case 'A':
				if s.row -= n; s.row < 0 {
					s.t.Fatalf("the cursor went %d lines above the screen", -s.row)
				}
			case 'm':
			default:
				s.t.Fatalf("%q is not understood", text[:i+1])
			}
			text = text[i+1:]
		default:
			line, rest, whole := strings.Cut(text, "\n")
			plain, _, _ := strings.Cut(line, "\x1b")
			if s.row == len(s.lines) {
				s.lines = append(s.lines, "")
			}
			s.lines[s.row] += plain
			if plain != line {
				text = text[len(plain):]
				continue
			}
			if !whole {
				s.t.Fatalf("%q has no end", line)
			}
			s.row++
			text = rest
		}
	}
	return len(data), nil
}

// board is a board on a screen of so many rows, ten seconds after its steps began.
func board(t *testing.T, rows int) (*render.Board, *screen) {
	t.Helper()
	s := &screen{t: t, wraps: true}
	now := began.Add(10 * time.Second)
	return &render.Board{Terminal: s, Style: render.Style{Color: true}, Rows: func() int { return rows }, Now: func() time.Time { return now }}, s
}

var began = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func stepAs(name string, state contract.StepState) contract.BuildStep {
	step := contract.BuildStep{Name: name, Of: name, State: state}
	if state != contract.StepPending && state != contract.StepSkipped {
		step.StartedAt = new(began)
	}
	switch state {
	case contract.StepFailed:
		step.FinishedAt, step.Failure = new(began.Add(63*time.Second)), contract.NewFailure(contract.ClassUser, "exit code 2")
	case contract.StepCompleted, contract.StepCancelled:
		step.FinishedAt = new(began.Add(1500 * time.Millisecond))
	case contract.StepPending, contract.StepRunning, contract.StepSkipped:
	}
	return step
}

func (s *screen) want(lines ...string) {
	s.t.Helper()
	if diff := cmp.Diff(lines, s.lines); diff != "" {
		s.t.Error(diff)
	}
	if s.row != len(s.lines) || !s.wraps {
		s.t.Errorf("the cursor is in line %d of %d, and lines wrap: %v", s.row, len(s.lines), s.wraps)
	}
}

func TestTheStepsStayBelowWhatIsWritten(t *testing.T) {
	b, s := board(t, 24)
	show := func(steps ...contract.BuildStep) {
		t.Helper()
		if err := b.Show(&contract.Build{Steps: steps}); err != nil {
			t.Fatal(err)
		}
	}
	say := func(text string) {
		t.Helper()
		if _, err := b.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say("before\n")
	s.want("before")
	show(stepAs("test", contract.StepRunning), stepAs("image@linux", contract.StepPending))
	s.want("before", "▶ test         running       10s", "· image@linux  pending")
	say("one\ntwo\n")
	s.want("before", "one", "two", "▶ test         running       10s", "· image@linux  pending")
	reused := stepAs("lint", contract.StepCompleted)
	reused.Reused = true
	show(stepAs("test", contract.StepFailed), stepAs("image", contract.StepSkipped), stepAs("a\x1b[2Jb", contract.StepCompleted), reused, stepAs("stop", contract.StepCancelled))
	s.want("before", "one", "two",
		"✗ test    failed       1m3s  user: exit code 2",
		"– image   skipped",
		"✓ a [2Jb  completed    1.5s",
		"✓ lint    completed          from an earlier build",
		"⊘ stop    cancelled    1.5s")
	say("three\n")
	if err := b.Clear(); err != nil {
		t.Fatal(err)
	}
	s.want("before", "one", "two", "three")
	say("after\n")
	s.want("before", "one", "two", "three", "after")
}

func TestTheTimeOfAStepThatRunsGoesOn(t *testing.T) {
	b, s := board(t, 24)
	now := began
	b.Now = func() time.Time { return now }
	if err := b.Show(&contract.Build{Steps: []contract.BuildStep{stepAs("test", contract.StepRunning)}}); err != nil {
		t.Fatal(err)
	}
	for _, passed := range []struct {
		time time.Duration
		line string
	}{
		{-3 * time.Second, "▶ test  running        0s"},
		{900 * time.Millisecond, "▶ test  running        0s"},
		{59 * time.Second, "▶ test  running       59s"},
		{time.Hour + 90*time.Second, "▶ test  running    1h1m30s"},
	} {
		now = began.Add(passed.time)
		if err := b.Tick(); err != nil {
			t.Fatal(err)
		}
		s.want(passed.line)
	}
}

func TestOfTooManyStepsThoseAreShownThatMatter(t *testing.T) {
	b, s := board(t, 6)
	var steps []contract.BuildStep
	for _, state := range []contract.StepState{
		contract.StepCompleted, contract.StepFailed, contract.StepRunning, contract.StepCompleted, contract.StepFailed, contract.StepRunning, contract.StepPending,
	} {
		steps = append(steps, stepAs(string(rune('a'+len(steps))), state))
	}
	if err := b.Show(&contract.Build{Steps: steps}); err != nil {
		t.Fatal(err)
	}
	s.want("▶ c  running       10s", "▶ f  running       10s", "✗ b  failed       1m3s  user: exit code 2", "  4 of 7 steps, 2 running, 2 failed")
	b.Rows = func() int { return 1 }
	if err := b.Tick(); err != nil {
		t.Fatal(err)
	}
	s.want("  4 of 7 steps, 2 running, 2 failed")
}
