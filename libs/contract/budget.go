package contract

import (
	"fmt"
	"strconv"
	"time"
)

// Budget bounds what the agents of a project, or of an API key, may use. Zero
// fields bound nothing.
type Budget struct {
	// Day is the most that all of them use in a day of UTC.
	Day Spend `json:"day,omitzero"`
	// Default is what a command is limited to that does not say, and Most the most
	// that one may ask for.
	Default AgentLimits `json:"default,omitzero"`
	Most    AgentLimits `json:"most,omitzero"`
}

// Replaced is what a budget becomes where want replaces it, nil for none, and whether
// that is another one.
func (b *Budget) Replaced(want Budget) (next *Budget, other bool) {
	var has Budget
	if b != nil {
		has = *b
	}
	if want != (Budget{}) {
		next = &want
	}
	return next, want != has
}

// Spend is what agents used, or may use.
type Spend struct {
	// Tokens are all that did not come from a cache: Usage.Tokens.
	Tokens  int64   `json:"tokens,omitempty"`
	CostUSD float64 `json:"cost_usd,omitempty"`
}

// Tokens are those that count for limits: what came in and went out, but for what
// was read from a cache.
func (u *Usage) Tokens() int64 {
	if u == nil {
		return 0
	}
	return u.InputTokens + u.CacheWriteTokens + u.OutputTokens
}

// Cost is in USD; 0 where the agent does not tell.
func (u *Usage) Cost() float64 {
	if u == nil || u.CostUSD == nil {
		return 0
	}
	return *u.CostUSD
}

// OperationProgressed tells what attempt Attempt has used so far, as far as its
// agent tells: Result is of a run that goes on.
type OperationProgressed struct {
	Attempt int
	Result  *Result
}

// Type implements Change.
func (OperationProgressed) Type() string { return TypeProgressed }

func (c OperationProgressed) attempt() int { return c.Attempt }

func (c OperationProgressed) apply(o *Operation) { o.Result = c.Result }

// DayOf is the day that a time counts for, in UTC.
func DayOf(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }

// Exceeds names the first limit that is more than most has, and what that is; "" where
// none is.
func (asked AgentLimits) Exceeds(most AgentLimits) (field, limit string) {
	switch {
	case most.Wall > 0 && asked.Wall > most.Wall:
		return "wall", time.Duration(most.Wall).String()
	case most.Silence > 0 && asked.Silence > most.Silence:
		return "silence", time.Duration(most.Silence).String()
	case most.Turns > 0 && asked.Turns > most.Turns:
		return "turns", strconv.Itoa(most.Turns)
	case most.Tokens > 0 && asked.Tokens > most.Tokens:
		return "tokens", strconv.FormatInt(most.Tokens, 10)
	case most.CostUSD > 0 && asked.CostUSD > most.CostUSD:
		return "cost_usd", fmt.Sprint(most.CostUSD)
	}
	return "", ""
}
