package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// budgetLong is what the help of both budgets says of them.
const budgetLong = `Show a budget beside what was used of it today, or with flags set it. A day is one of
UTC. A flag sets one limit, and 0 lifts it; the others stay as they are.

  --day-…      what all agents together may use in a day
  --default-…  what a command is limited to that does not say
  --most-…     the most that a command may ask for`

// budgetFlags are the flags that set limits of a budget.
type budgetFlags struct {
	wanted contract.Budget
	none   bool
}

// add adds the flags to a command.
func (b *budgetFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Float64Var(&b.wanted.Day.CostUSD, "day-cost", 0, "most that all may cost in a day, in USD")
	flags.Int64Var(&b.wanted.Day.Tokens, "day-tokens", 0, "most tokens of all in a day")
	addLimitFlags(flags, &b.wanted.Default, "default-", " where a command does not say")
	addLimitFlags(flags, &b.wanted.Most, "most-", " that a command may ask for")
	flags.BoolVar(&b.none, "none", false, "remove the budget")
}

// addLimitFlags adds the flags of an agent's limits, as `rdev run` has them.
func addLimitFlags(flags *pflag.FlagSet, limits *contract.AgentLimits, prefix, when string) {
	flags.DurationVar((*time.Duration)(&limits.Wall), prefix+"wall", 0, "most time"+when)
	flags.DurationVar((*time.Duration)(&limits.Silence), prefix+"silence", 0, "longest time without a sign of life"+when)
	flags.IntVar(&limits.Turns, prefix+"turns", 0, "most calls of the model"+when)
	flags.Int64Var(&limits.Tokens, prefix+"tokens", 0, "most tokens"+when)
	flags.Float64Var(&limits.CostUSD, prefix+"cost", 0, "highest cost in USD"+when)
}

// limits are the names of the flags that set a limit, and where each goes.
func (b *budgetFlags) limits(to *contract.Budget) map[string]func() {
	set := map[string]func(){
		"day-cost":   func() { to.Day.CostUSD = b.wanted.Day.CostUSD },
		"day-tokens": func() { to.Day.Tokens = b.wanted.Day.Tokens },
	}
	for _, part := range []struct {
		prefix   string
		from, to *contract.AgentLimits
	}{{"default-", &b.wanted.Default, &to.Default}, {"most-", &b.wanted.Most, &to.Most}} {
		set[part.prefix+"wall"] = func() { part.to.Wall = part.from.Wall }
		set[part.prefix+"silence"] = func() { part.to.Silence = part.from.Silence }
		set[part.prefix+"turns"] = func() { part.to.Turns = part.from.Turns }
		set[part.prefix+"tokens"] = func() { part.to.Tokens = part.from.Tokens }
		set[part.prefix+"cost"] = func() { part.to.CostUSD = part.from.CostUSD }
	}
	return set
}

// changes tells whether the command line changes the budget, and refuses what is no
// limit.
func (b *budgetFlags) changes(cmd *cobra.Command) (bool, error) {
	known, changes := b.limits(&contract.Budget{}), b.none
	var err error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if _, limit := known[flag.Name]; !limit || err != nil {
			return
		}
		changes = true
		switch {
		case b.none:
			err = usagef(cmd, "--none and --%s do not go together", flag.Name)
		case flag.Value.String()[0] == '-':
			err = usagef(cmd, "--%s %s is no limit", flag.Name, flag.Value)
		}
	})
	return changes, err
}

// change is a budget with the limits of the command line.
func (b *budgetFlags) change(cmd *cobra.Command, budget contract.Budget) contract.Budget {
	if b.none {
		return contract.Budget{}
	}
	set := b.limits(&budget)
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if apply, limit := set[flag.Name]; limit {
			apply()
		}
	})
	return budget
}

// budgetOf is how the budget of one thing is read and replaced.
type budgetOf struct {
	name string // in words
	get  func() (client.Budget, error)
	put  func(contract.Budget) (client.Budget, error)
}

// budget shows a budget, after setting what the flags say.
func (c *cli) budget(cmd *cobra.Command, flags *budgetFlags, changes bool, of budgetOf) error {
	now, err := of.get()
	if err != nil {
		return err
	}
	if changes {
		if now, err = of.put(flags.change(cmd, now.Budget)); err != nil {
			return err
		}
	}
	if c.json() {
		return writeJSON(cmd.OutOrStdout(), now)
	}
	none := now.Budget == contract.Budget{}
	switch {
	case changes && none:
		return c.done(cmd, of.name+" has no budget any more")
	case changes:
		if err := c.done(cmd, "set the budget of "+of.name); err != nil {
			return err
		}
	case none:
		c.note(cmd, "%s has no budget", of.name)
	}
	return c.showBudget(cmd, now)
}

// showBudget writes a row for each kind of limit.
func (c *cli) showBudget(cmd *cobra.Command, b client.Budget) error {
	day, usual, most := b.Budget.Day, b.Budget.Default, b.Budget.Most
	rows := [][]string{
		{"cost", render.Money(b.Today.CostUSD), money(day.CostUSD), money(usual.CostUSD), money(most.CostUSD)},
		{"tokens", render.Thousands(b.Today.Tokens), number(day.Tokens), number(usual.Tokens), number(most.Tokens)},
		{"turns", "", "", number(int64(usual.Turns)), number(int64(most.Turns))},
		{"wall", "", "", span(usual.Wall), span(most.Wall)},
		{"silence", "", "", span(usual.Silence), span(most.Silence)},
	}
	if err := render.Table(cmd.OutOrStdout(), []string{"LIMIT", "USED TODAY", "OF A DAY", "DEFAULT", "MOST"}, rows); err != nil {
		return err
	}
	c.note(cmd, "the next day begins %s", render.Ago(time.Now(), &b.Today.ResetsAt))
	return nil
}

// money is a limit in a table, "-" for none; so are number and span.
func money(usd float64) string {
	if usd == 0 {
		return "-"
	}
	return render.Money(usd)
}

func number(n int64) string {
	if n == 0 {
		return "-"
	}
	return render.Thousands(n)
}

func span(d contract.Duration) string {
	if d == 0 {
		return "-"
	}
	return render.Span(d)
}

func newProjectsBudgetCommand(c *cli) *cobra.Command {
	flags := &budgetFlags{}
	cmd := &cobra.Command{
		Use: "budget SLUG", Short: "Show or set what the agents of a project may use", Args: arguments("SLUG"),
		Long: budgetLong,
		Example: `  rdev projects budget shop
  rdev projects budget shop --day-cost 20 --default-cost 1 --most-cost 5
  rdev projects budget shop --most-wall 2h --day-cost 0
  rdev projects budget shop --none`,
		ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := flags.changes(cmd)
			if err != nil {
				return err
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			return c.budget(cmd, flags, changes, budgetOf{
				name: "project " + render.Line(args[0]),
				get:  func() (client.Budget, error) { return api.ProjectBudget(cmd.Context(), args[0]) },
				put: func(b contract.Budget) (client.Budget, error) {
					return api.SetProjectBudget(cmd.Context(), args[0], b)
				},
			})
		},
	}
	flags.add(cmd)
	return cmd
}

func newKeysBudgetCommand(c *cli) *cobra.Command {
	flags := &budgetFlags{}
	cmd := &cobra.Command{
		Use: "budget ID|self", Short: "Show or set what the agents may use that a key starts", Args: arguments("ID"),
		Long: budgetLong,
		Example: `  rdev keys budget self                           # of the key that rdev uses here
  rdev keys budget ci --day-tokens 2000000 --most-turns 50
  rdev keys budget ci --none`,
		ValidArgsFunction: c.completeKeys("self"),
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := flags.changes(cmd)
			if err != nil {
				return err
			}
			api, key, err := c.findKey(cmd, args[0])
			if err != nil {
				return err
			}
			id := key.ID
			if args[0] == "self" && !changes {
				id = "self" // which every key may ask for
			}
			return c.budget(cmd, flags, changes, budgetOf{
				name: fmt.Sprintf("key %s (%s)", render.Line(key.Name), render.Line(key.ID)),
				get:  func() (client.Budget, error) { return api.KeyBudget(cmd.Context(), id) },
				put:  func(b contract.Budget) (client.Budget, error) { return api.SetKeyBudget(cmd.Context(), id, b) },
			})
		},
	}
	flags.add(cmd)
	return cmd
}
