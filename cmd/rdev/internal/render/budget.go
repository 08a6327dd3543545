package render

import (
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Progress is what an agent has used so far on one line, "" where nothing is known.
func Progress(result *contract.Result) string {
	if result == nil {
		return ""
	}
	turns := ""
	if result.Turns > 0 {
		turns = count(int64(result.Turns), "turn")
	}
	return join(turns, Usage(result.Usage))
}

// Budget is a budget on one line, "no budget" for nil or the zero one.
func Budget(budget *contract.Budget) string {
	if budget == nil || *budget == (contract.Budget{}) {
		return "no budget"
	}
	var parts []string
	for _, part := range []struct{ name, text string }{
		{"a day", Limits(contract.AgentLimits{Tokens: budget.Day.Tokens, CostUSD: budget.Day.CostUSD})},
		{"default", Limits(budget.Default)},
		{"at most", Limits(budget.Most)},
	} {
		if part.text != "" {
			parts = append(parts, part.name+" "+part.text)
		}
	}
	return join(parts...)
}

// Limits are the limits of an agent on one line, "" where there are none.
func Limits(limits contract.AgentLimits) string {
	var facts []string
	if limits.CostUSD > 0 {
		facts = append(facts, Money(limits.CostUSD))
	}
	if limits.Tokens > 0 {
		facts = append(facts, Thousands(limits.Tokens)+" tokens")
	}
	if limits.Turns > 0 {
		facts = append(facts, count(int64(limits.Turns), "turn"))
	}
	if limits.Wall > 0 {
		facts = append(facts, "wall "+Span(limits.Wall))
	}
	if limits.Silence > 0 {
		facts = append(facts, "silence "+Span(limits.Silence))
	}
	return strings.Join(facts, ", ")
}

// Money is an amount of USD: $20.00, or $0.0123 where cents do not tell it.
func Money(usd float64) string {
	text := strconv.FormatFloat(usd, 'f', 4, 64)
	return "$" + strings.TrimSuffix(strings.TrimSuffix(text, "0"), "0")
}

// Span is a time that something takes, without units that say nothing: 30m, 1h30m.
func Span(d contract.Duration) string {
	text := time.Duration(d).String()
	if short, found := strings.CutSuffix(text, "m0s"); found {
		text = short + "m"
	}
	if short, found := strings.CutSuffix(text, "h0m"); found {
		text = short + "h"
	}
	return text
}
