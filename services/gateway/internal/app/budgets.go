package app

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Budgets knows what the agents of each project and API key have used today: a fold
// of the log, of which every gateway has its own.
type Budgets struct {
	// Key is the budget of an API key, nil where it has none.
	Key func(id string) *contract.Budget

	mu   sync.RWMutex
	day  time.Time
	used map[holder]contract.Spend
}

// holder is who has a budget.
type holder struct {
	kind string // project, key
	id   string
}

func projectHolder(slug string) holder { return holder{"project", slug} }
func keyHolder(id string) holder       { return holder{"key", id} }

// Apply implements Reader: what an operation used since its event before counts for
// the day of this one.
func (b *Budgets) Apply(at time.Time, prev *contract.Operation, op contract.Operation) {
	if op.Result == nil {
		return
	}
	used := contract.Spend{Tokens: op.Result.Usage.Tokens(), CostUSD: op.Result.Usage.Cost()}
	if prev != nil && prev.Result != nil {
		used.Tokens -= prev.Result.Usage.Tokens()
		used.CostUSD -= prev.Result.Usage.Cost()
	}
	if used == (contract.Spend{}) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if day := contract.DayOf(at); day.After(b.day) || b.used == nil {
		b.day, b.used = day, map[holder]contract.Spend{}
	} else if day.Before(b.day) {
		return
	}
	for _, h := range []holder{projectHolder(op.Project), keyHolder(op.Key)} {
		sum := b.used[h]
		sum.Tokens += used.Tokens
		sum.CostUSD += used.CostUSD
		b.used[h] = sum
	}
}

// Live implements Reader.
func (b *Budgets) Live() {}

// today is what was used of a budget on the day of now.
func (b *Budgets) today(h holder, now time.Time) contract.Spend {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !contract.DayOf(now).Equal(b.day) {
		return contract.Spend{}
	}
	return b.used[h]
}

// held is a budget, with what was used of it today.
type heldBudget struct {
	contract.Budget

	name string // in words
	used contract.Spend
}

// of is the budgets that hold for what a key starts in a project.
func (b *Budgets) of(project contract.Project, key string, now time.Time) []heldBudget {
	var all []heldBudget
	if project.Budget != nil {
		all = append(all, heldBudget{*project.Budget, "project " + project.Slug, b.today(projectHolder(project.Slug), now)})
	}
	if budget := b.Key(key); budget != nil {
		all = append(all, heldBudget{*budget, "the API key", b.today(keyHolder(key), now)})
	}
	return all
}

// spent says which budget of the day is used up, "" where none is.
func (h heldBudget) spent() string {
	switch {
	case h.Day.Tokens > 0 && h.used.Tokens >= h.Day.Tokens:
		return fmt.Sprintf("%s has used up its %d tokens of today", h.name, h.Day.Tokens)
	case h.Day.CostUSD > 0 && h.used.CostUSD >= h.Day.CostUSD:
		return fmt.Sprintf("%s has used up its %.2f USD of today", h.name, h.Day.CostUSD)
	}
	return ""
}

// limit makes the limits of a command what its budgets leave of them: what it does
// not ask for is their default, and nothing is more than what is left of the day.
func (b *Budgets) limit(agent *contract.Agent, project contract.Project, key string) error {
	now := time.Now()
	traits, _ := contract.AgentNamed(agent.Provider)
	asked, limits := agent.Limits, agent.Limits
	for _, h := range b.of(project, key, now) {
		if spent := h.spent(); spent != "" {
			return &contract.Error{
				Code: contract.CodeBudgetExceeded, RetryAfter: contract.DayOf(now).Add(24 * time.Hour).Sub(now),
				Detail: spent + "; ask again tomorrow, in UTC, or raise the budget",
			}
		}
		if !traits.TellsCost && (h.Day.CostUSD > 0 || h.Most.CostUSD > 0) {
			return invalidField("provider", fmt.Sprintf("must tell what it costs, which %s does not: %s has a budget in USD", agent.Provider, h.name))
		}
		if field, most := asked.Exceeds(h.Most); field != "" {
			return invalidField("limits."+field, fmt.Sprintf("must be at most %s, as %s has it", most, h.name))
		}
		if !traits.TellsCost {
			h.Default.CostUSD = 0
		}
		left := contract.AgentLimits{}
		if h.Day.Tokens > 0 {
			left.Tokens = h.Day.Tokens - h.used.Tokens
		}
		if h.Day.CostUSD > 0 {
			left.CostUSD = h.Day.CostUSD - h.used.CostUSD
		}
		limits = tighter(limits, tighter(or(asked, or(h.Default, h.Most)), left))
	}
	agent.Limits = limits
	return nil
}

// or is limits, and others where those say nothing.
func or(limits, others contract.AgentLimits) contract.AgentLimits {
	return contract.AgentLimits{
		Wall: cmp.Or(limits.Wall, others.Wall), Silence: cmp.Or(limits.Silence, others.Silence),
		Turns: cmp.Or(limits.Turns, others.Turns), Tokens: cmp.Or(limits.Tokens, others.Tokens),
		CostUSD: cmp.Or(limits.CostUSD, others.CostUSD),
	}
}

// tighter is the lower of each limit, where 0 is none.
func tighter(a, b contract.AgentLimits) contract.AgentLimits {
	return contract.AgentLimits{
		Wall: lower(a.Wall, b.Wall), Silence: lower(a.Silence, b.Silence), Turns: lower(a.Turns, b.Turns),
		Tokens: lower(a.Tokens, b.Tokens), CostUSD: lower(a.CostUSD, b.CostUSD),
	}
}

func lower[T cmp.Ordered](a, b T) T {
	var none T
	switch {
	case a == none:
		return b
	case b == none:
		return a
	}
	return min(a, b)
}

// BudgetStatus is a budget beside what was used of it today.
type BudgetStatus struct {
	Budget contract.Budget `json:"budget"`
	Today  Today           `json:"today"`
}

// Today is what was used since midnight, UTC.
type Today struct {
	Tokens   int64     `json:"tokens"`
	CostUSD  float64   `json:"cost_usd"`
	ResetsAt time.Time `json:"resets_at"`
}

func (b *Budgets) status(h holder, budget *contract.Budget, now time.Time) BudgetStatus {
	used := b.today(h, now)
	status := BudgetStatus{Today: Today{Tokens: used.Tokens, CostUSD: used.CostUSD, ResetsAt: contract.DayOf(now).Add(24 * time.Hour)}}
	if budget != nil {
		status.Budget = *budget
	}
	return status
}

// OfProject is the budget of a project.
func (b *Budgets) OfProject(project contract.Project) BudgetStatus {
	return b.status(projectHolder(project.Slug), project.Budget, time.Now())
}

// OfKey is the budget of an API key.
func (b *Budgets) OfKey(key contract.Key) BudgetStatus {
	return b.status(keyHolder(key.ID), key.Budget, time.Now())
}

// exceeded is why a running operation has to end: a budget of the day of its
// project or key that is used up. nil where it may go on.
func (b *Budgets) exceeded(ctx context.Context, projects Projects, op contract.Operation) (*contract.Failure, error) {
	project, err := projects.Project(ctx, op.Project)
	if err != nil {
		return nil, err
	}
	for _, h := range b.of(project, op.Key, time.Now()) {
		if spent := h.spent(); spent != "" {
			return contract.NewFailure(contract.ClassBudget, "%s", spent), nil
		}
	}
	return nil, nil
}
