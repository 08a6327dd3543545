package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// widest is how much of a tool's input or of an error fits on its line.
const widest = 120

// Agent writes the events of an agent's run for people: what it says to Out,
// what it does to Notes, so that Out alone is the answer.
type Agent struct {
	Out   io.Writer
	Notes io.Writer
	Style Style

	open bool   // the last line of Out has no end yet
	said string // the last whole text, which a result says again
}

// Write writes one event.
func (a *Agent) Write(event contract.AgentEvent) error {
	switch event.Type {
	case contract.AgentText:
		return a.text(event)
	case contract.AgentThinking:
		return a.note(a.Style.Dim("· " + Cut(Line(event.Text), widest)))
	case contract.AgentSession:
		return a.note(a.Style.Dim("● " + join(event.Provider, event.Model, event.Session)))
	case contract.AgentToolCall:
		return a.note(a.Style.Mark("→ "+Line(first(event.Tool, "tool"))) + " " + Cut(toolSummary(event), widest))
	case contract.AgentToolResult:
		return a.toolResult(event)
	case contract.AgentPermission:
		return a.note(a.Style.Warn("? " + Line(first(event.Tool, "permission")) + ": " + Cut(first(Line(first(event.Message, event.Title)), toolSummary(event)), widest)))
	case contract.AgentRetry:
		return a.note(a.Style.Warn(retry(event)))
	case contract.AgentNotice:
		return a.note(a.Style.Warn("! " + Cut(Line(first(event.Message, event.Code)), widest)))
	case contract.AgentError:
		return a.note(a.Style.Bad("✗ " + Cut(Line(first(event.Message, event.Code)), widest)))
	case contract.AgentRaw:
		return a.note(a.Style.Dim("  " + Cut(Line(event.Line), widest)))
	case contract.AgentResult:
		return a.result(event)
	}
	return nil // usage comes again in the result
}

// Flush ends a line that is open.
func (a *Agent) Flush() error {
	if !a.open {
		return nil
	}
	a.open = false
	_, err := io.WriteString(a.Out, "\n")
	return err
}

func (a *Agent) note(line string) error {
	if err := a.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.Notes, strings.TrimRight(line, " "))
	return err
}

func (a *Agent) text(event contract.AgentEvent) error {
	text := Lines(event.Text)
	if event.Delta {
		a.said += text
	} else {
		if err := a.Flush(); err != nil {
			return err
		}
		a.said = text
	}
	if text == "" {
		return nil
	}
	a.open = !strings.HasSuffix(text, "\n")
	_, err := io.WriteString(a.Out, text)
	return err
}

func (a *Agent) toolResult(event contract.AgentEvent) error {
	output := Line(strings.TrimSpace(event.Output))
	switch event.Status {
	case contract.ToolCompleted, "":
		return a.note(a.Style.Dim("  ✓ " + Cut(output, widest)))
	case contract.ToolDenied:
		return a.note(a.Style.Warn("  ⊘ denied " + Cut(output, widest)))
	case contract.ToolCancelled:
		return a.note(a.Style.Dim("  ⊘ cancelled"))
	}
	mark := "  ✗ "
	if event.ExitCode != nil {
		mark = fmt.Sprintf("  ✗ exit %d ", *event.ExitCode)
	}
	return a.note(a.Style.Bad(mark + Cut(output, widest)))
}

func (a *Agent) result(event contract.AgentEvent) error {
	if text := strings.TrimSpace(Lines(event.Text)); text != "" && text != strings.TrimSpace(a.said) {
		if err := a.text(contract.AgentEvent{Text: text}); err != nil {
			return err
		}
	}
	mark, paint := "✗ ", a.Style.Bad
	if event.Status == contract.AgentSucceeded {
		mark, paint = "✓ ", a.Style.Good
	}
	facts := []string{first(strings.ReplaceAll(event.Status, "_", " "), "ended")}
	if event.Failure != nil {
		facts = append(facts, fmt.Sprintf("%s: %s", event.Failure.Class, Cut(Line(event.Failure.Message), widest)))
	} else if event.StopReason != "" && event.StopReason != "end_turn" {
		facts = append(facts, event.StopReason)
	}
	if event.Turns > 0 {
		facts = append(facts, count(int64(event.Turns), "turn"))
	}
	facts = append(facts, Usage(event.Usage))
	if event.Session != "" {
		facts = append(facts, "session "+event.Session)
	}
	return a.note(paint(mark + join(facts...)))
}

// Usage is tokens and money on one line, "" where nothing is known.
func Usage(usage *contract.Usage) string {
	if usage == nil {
		return ""
	}
	in := usage.InputTokens + usage.CacheReadTokens + usage.CacheWriteTokens
	text := fmt.Sprintf("%s tokens in, %s out", Thousands(in), Thousands(usage.OutputTokens))
	if usage.CostUSD != nil {
		text += fmt.Sprintf(" · $%.4f", *usage.CostUSD)
	}
	return text
}

// toolSummary is the title of a tool's use, or what of its input tells most.
func toolSummary(event contract.AgentEvent) string {
	var input map[string]any
	if err := json.Unmarshal(event.Input, &input); err == nil {
		for _, name := range []string{
			"command", "file_path", "filePath", "path", "dir_path", "pattern", "query", "url", "description", "prompt",
		} {
			if text, ok := input[name].(string); ok && text != "" {
				return Line(text)
			}
		}
	}
	if event.Title != "" && event.Title != event.Tool {
		return Line(event.Title)
	}
	if len(input) == 0 {
		return ""
	}
	return Line(string(event.Input))
}

func retry(event contract.AgentEvent) string {
	text := "↻ try again"
	if event.Attempt > 0 && event.MaxRetries > 0 {
		text = fmt.Sprintf("↻ try %d of %d", event.Attempt, event.MaxRetries)
	}
	if event.DelayMS > 0 {
		text += " in " + (time.Duration(event.DelayMS) * time.Millisecond).Round(100*time.Millisecond).String()
	}
	if event.HTTPStatus > 0 {
		text += fmt.Sprintf(", HTTP %d", event.HTTPStatus)
	}
	if message := first(event.Message, event.Code); message != "" {
		text += ": " + Cut(Line(message), widest)
	}
	return text
}

func join(facts ...string) string {
	var said []string
	for _, fact := range facts {
		if fact = Line(fact); fact != "" {
			said = append(said, fact)
		}
	}
	return strings.Join(said, " · ")
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Thousands is a number with its groups apart: 1,234,567.
func Thousands(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s,%03d", Thousands(n/1000), n%1000)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
