package domain_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

var epoch = time.Unix(1_800_000_000, 0)

// script tells a schedule one call a line, and holds what is due after it against what
// follows "=>": "s1:a" where a is due on s1, "s1:a*" where it runs there.
//
//	open|close <slot>…
//	wait <id> <project> [<kind>] [high|low] [+<seconds>: not before]
//	run <id> <slot>
//	end <id>…
//	at +<seconds>
//	drain <slot> => the items in the order in which they are due there
type script struct {
	t     *testing.T
	s     *domain.Schedule
	now   time.Time
	slots map[string]bool
	line  string
}

func play(t *testing.T, limits domain.WorkLimits, text string) *script {
	t.Helper()
	p := &script{t: t, s: domain.NewSchedule(limits), now: epoch, slots: map[string]bool{}}
	for line := range strings.Lines(text) {
		p.line = strings.TrimSpace(line)
		call, want, _ := strings.Cut(p.line, "=>")
		word := strings.Fields(call)
		if len(word) == 0 {
			continue
		}
		var got string
		if word[0] == "drain" {
			got = p.drain(word[1])
		} else {
			p.tell(word[0], word[1:])
			got = p.due()
		}
		if want = strings.TrimSpace(want); want != "" && got != want {
			t.Fatalf("%s: it is %s", p.line, got)
		}
	}
	return p
}

func (p *script) tell(verb string, args []string) {
	p.t.Helper()
	switch verb {
	case "open", "close":
		for _, slot := range args {
			p.slots[slot] = true
			p.call(func() []string {
				if verb == "open" {
					return p.s.Open(slot)
				}
				return p.s.Close(slot)
			})
		}
	case "wait":
		item := domain.Item{ID: args[0], Project: args[1], Kind: "build"}
		for _, arg := range args[2:] {
			switch {
			case arg == "high":
				item.Priority = domain.High
			case arg == "low":
				item.Priority = domain.Low
			case arg[0] == '+':
				item.NotBefore = p.time(arg)
			default:
				item.Kind = arg
			}
		}
		p.call(func() []string { return p.s.Wait(item, p.now) })
	case "run":
		p.slots[args[1]] = true
		p.call(func() []string { return p.s.Run(args[0], args[1]) })
	case "end":
		for _, id := range args {
			p.call(func() []string { return p.s.End(id) })
		}
	case "at":
		p.now = p.time(args[0])
		p.call(func() []string { return p.s.Advance(p.now) })
	default:
		p.t.Fatalf("%s?", p.line)
	}
}

// call makes a call twice: the slots that it returns are those whose item changed, and
// the second time there are none.
func (p *script) call(call func() []string) {
	p.t.Helper()
	before := p.picture()
	changed := call()
	after := p.picture()
	var want []string
	for _, slot := range slices.Sorted(maps.Keys(p.slots)) {
		if strings.TrimSuffix(before[slot], "*") != strings.TrimSuffix(after[slot], "*") {
			want = append(want, slot)
		}
	}
	if !slices.Equal(changed, want) {
		p.t.Fatalf("%s: %q changed, it returns %q", p.line, want, changed)
	}
	if changed = call(); changed != nil || !maps.Equal(p.picture(), after) {
		p.t.Fatalf("%s: told twice, %q changed, and it is %v, not %v", p.line, changed, p.picture(), after)
	}
}

func (p *script) picture() map[string]string {
	due := map[string]string{}
	for slot := range p.slots {
		if id, underway, ok := p.s.Due(slot); ok {
			if underway {
				id += "*"
			}
			due[slot] = id
		}
	}
	return due
}

func (p *script) due() string {
	var all []string
	due := p.picture()
	for _, slot := range slices.Sorted(maps.Keys(due)) {
		all = append(all, slot+":"+due[slot])
	}
	return strings.Join(all, " ")
}

func (p *script) drain(slot string) string {
	var order []string
	for {
		id, _, ok := p.s.Due(slot)
		if !ok {
			return strings.Join(order, " ")
		}
		order = append(order, id)
		p.s.Run(id, slot)
		p.s.End(id)
	}
}

func (p *script) time(text string) time.Time {
	d, err := time.ParseDuration(text[1:] + "s")
	if err != nil {
		p.t.Fatal(err)
	}
	return epoch.Add(d)
}

func TestSchedule(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits domain.WorkLimits
		text   string
	}{
		{name: "a slot holds one item after another", text: `
			open s1
			wait a shop     => s1:a
			wait b shop     => s1:a
			run a s1        => s1:a*
			end a           => s1:b
			end b           =>
			wait c shop     => s1:c`},
		{name: "a slot that is opened gets what waits, the first by name first", text: `
			wait a shop
			wait b shop
			wait c shop
			open s2         => s2:a
			open s1         => s1:b s2:a
			end a b         => s2:c`},
		{name: "all of a higher priority before any of a lower one", text: `
			wait l1 shop low
			wait n1 shop
			wait n2 shop
			wait h1 shop high
			wait h2 shop high
			wait l2 blog low
			wait n3 blog
			open s1
			drain s1        => h1 h2 n1 n3 n2 l1 l2`},
		{name: "what is due stays, whoever comes", text: `
			open s1
			wait a shop low
			wait b shop high => s1:a
			run a s1
			end a           => s1:b`},
		{name: "a project with many items does not delay another's", text: `
			wait a1 big
			wait a2 big
			wait a3 big
			wait a4 big
			wait a5 big
			wait b1 shop
			wait b2 shop
			wait c1 blog
			open s1
			drain s1        => a1 b1 c1 a2 b2 a3 a4 a5`},
		{name: "who comes later begins in the round that is on", text: `
			open s1
			wait a1 big
			wait a2 big
			wait a3 big
			wait a4 big
			wait a5 big
			end a1          => s1:a2
			end a2          => s1:a3
			wait b1 shop
			wait b2 shop
			wait b3 shop
			end a3          => s1:b1
			drain s1        => b1 a4 b2 a5 b3`},
		{name: "an idle project saves nothing up", text: `
			wait b1 shop
			open s1         => s1:b1
			wait b0 shop +1000
			end b1
			wait a1 big
			wait a2 big
			wait a3 big
			wait a4 big
			wait a5 big
			wait a6 big
			end a1
			end a2
			end a3          => s1:a4
			wait b2 shop
			wait b3 shop
			wait b4 shop
			drain s1        => a4 b2 a5 b3 a6 b4`},
		{name: "a turn in one class is none in another", text: `
			open s1
			wait a1 shop high
			wait a2 shop high
			wait a3 shop
			wait b1 blog
			end a1
			end a2
			drain s1        => a3 b1`},
		{name: "a retried item keeps its place", text: `
			open s1
			wait a shop
			wait b shop
			wait c shop
			run a s1
			wait a shop +10 => s1:b
			run b s1
			wait b shop     => s1:b
			run b s1
			at +9.5         => s1:b*
			at +10          => s1:b*
			end b           => s1:a
			end a           => s1:c`},
		{name: "a delayed item waits for its time, and keeps its place", text: `
			open s1
			wait a shop +5
			wait b shop     => s1:b
			wait c shop
			at +5
			end b           => s1:a
			end a           => s1:c`},
		{name: "an item that waits is told to wait longer, or no longer", text: `
			open s1
			wait a shop +5  =>
			wait a shop     => s1:a
			wait a shop +6  =>
			at +7           => s1:a
			wait a shop +6  => s1:a`},
		{name: "a time comes with whoever waits", text: `
			open s1 s2
			wait a shop +5  =>
			at +4           =>
			wait b shop +9  =>
			at +5           => s1:a
			wait c blog     => s1:a s2:c`},
		{name: "another gateway was ahead: what was due goes back to its place", text: `
			open s1 s2
			wait a shop
			wait b blog
			wait c shop
			wait d blog     => s1:a s2:b
			run b s1        => s1:b* s2:a
			run d s2        => s1:b* s2:d*
			end d           => s1:b* s2:a
			end b           => s1:c s2:a`},
		{name: "an item runs where no slot was known, or one that is closed", text: `
			open s1
			wait a shop     => s1:a
			wait b shop
			run a s9        => s1:b s9:a*
			close s9        => s1:b s9:a*
			end a           => s1:b
			wait c shop
			open s9         => s1:b s9:c`},
		{name: "an item that runs unchosen takes a turn", text: `
			wait a1 shop
			wait a2 shop
			wait b1 blog
			run a1 s9
			open s1         => s1:b1 s9:a1*`},
		{name: "another takes over what runs", text: `
			open s1 s2
			wait a shop
			run a s1        => s1:a*
			run a s2        => s2:a*
			wait b shop     => s1:b s2:a*
			end a           => s1:b`},
		{name: "two run on a slot, where the log says so", text: `
			open s1
			wait a shop
			wait b shop
			run a s1
			run b s1        => s1:a*
			wait c shop     => s1:a*
			end a           => s1:b*
			end b           => s1:c`},
		{name: "a closed slot gets nothing, and what runs there goes on", text: `
			open s1 s2
			wait a shop
			wait b shop
			run a s1        => s1:a* s2:b
			close s1 s2     => s1:a*
			wait a shop     =>
			open s3         => s3:a
			close s3        =>
			open s2         => s2:a
			end a           => s2:b`},
		{name: "a project at its limit is passed over", limits: domain.WorkLimits{PerProject: 1}, text: `
			open s1 s2 s3
			wait a1 shop high
			wait a2 shop high
			wait b1 blog
			wait b2 blog low => s1:a1 s2:b1
			run a1 s1
			run a2 s3       => s1:a1* s2:b1 s3:a2*
			end a1          => s2:b1 s3:a2*
			wait a3 shop    => s2:b1 s3:a2*
			end a2          => s1:a3 s2:b1
			end b1          => s1:a3 s2:b2`},
		{name: "a kind at its limit is passed over", limits: domain.WorkLimits{PerKind: map[string]int{"deploy": 1, "test": 0}}, text: `
			open s1 s2 s3
			wait a1 shop deploy high
			wait a2 shop deploy high
			wait b1 blog deploy
			wait b2 blog test low
			wait a3 shop    => s1:a1 s2:b2 s3:a3
			wait a1 shop +9 => s1:a2 s2:b2 s3:a3
			end a2          => s1:b1 s2:b2 s3:a3`},
		{name: "who was passed over comes first then, once", limits: domain.WorkLimits{PerProject: 1}, text: `
			open s1 s2
			wait a1 shop
			wait b1 blog    => s1:a1 s2:b1
			wait c1 wiki
			wait b2 blog
			wait c2 wiki
			wait b3 blog
			wait c3 wiki
			wait b4 blog
			wait c4 wiki
			wait a2 shop
			wait a3 shop
			end b1 c1 b2 c2 b3 c3 => s1:a1 s2:b4
			end a1          => s1:a2 s2:b4
			end a2          => s1:c4 s2:b4
			end c4          => s1:a3 s2:b4`},
		{name: "what a project gets meanwhile costs it no turn of a kind at its limit", limits: domain.WorkLimits{PerKind: map[string]int{"deploy": 1}}, text: `
			open s1 s2
			wait d1 big deploy
			wait d2 big deploy
			wait d3 big deploy
			run d1 s1
			wait a1 shop
			wait a2 shop deploy
			wait a3 shop
			wait a4 shop
			wait a5 shop
			wait a6 shop
			end a1
			end a3          => s1:d1* s2:a4
			end d1          => s1:d2 s2:a4
			end a4
			end a5          => s1:d2 s2:a6
			end d2          => s1:a2 s2:a6
			end a2          => s1:d3 s2:a6`},
		{name: "what is unknown is ignored", text: `
			end a           =>
			run a s1        =>
			close s1        =>
			wait a shop     =>
			open s1         => s1:a
			end b           => s1:a
			end a           =>
			run a s1        =>`},
		{name: "an item is of what it was told to be first", text: `
			wait a shop
			wait b blog
			wait b blog high
			open s1
			drain s1        => a b`},
	} {
		t.Run(tc.name, func(t *testing.T) { play(t, tc.limits, tc.text) })
	}
}

func TestAPriorityThatThereIsNoneOfIsTheNearest(t *testing.T) {
	s := domain.NewSchedule(domain.WorkLimits{})
	for i, priority := range []domain.Priority{9, domain.Low, domain.Normal, domain.High, -9} {
		s.Wait(domain.Item{ID: fmt.Sprint(i), Project: "shop", Priority: priority}, epoch)
	}
	s.Open("s1")
	if got, want := (&script{s: s}).drain("s1"), "3 4 2 0 1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTheScheduleCountsWhatItHolds(t *testing.T) {
	p := play(t, domain.WorkLimits{PerKind: map[string]int{"deploy": 1}}, `
		open s1 s2
		wait d1 shop deploy
		wait d2 shop deploy
		wait d3 blog deploy
		wait b1 blog
		wait b2 wiki +7
		wait b3 wiki +5
		run d1 s1       => s1:d1* s2:b1`)
	if got, want := p.s.Total(), (domain.Counts{Waiting: 3, Delayed: 2, Running: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := p.s.Projects(), map[string]domain.Counts{
		"shop": {Waiting: 1, Running: 1}, "blog": {Waiting: 2}, "wiki": {Delayed: 2},
	}; !maps.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := p.s.Kinds(), map[string]domain.Counts{
		"deploy": {Waiting: 2, Running: 1}, "build": {Waiting: 1, Delayed: 2},
	}; !maps.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if at, ok := p.s.Next(); !at.Equal(epoch.Add(5*time.Second)) || !ok {
		t.Errorf("the next comes at %s", at)
	}
	for _, id := range []string{"d1", "d2", "d3", "b1", "b2", "b3"} {
		p.s.End(id)
	}
	_, next := p.s.Next()
	if next || p.s.Total() != (domain.Counts{}) || len(p.s.Projects())+len(p.s.Kinds()) > 0 {
		t.Errorf("left are %+v, %v, %v", p.s.Total(), p.s.Projects(), p.s.Kinds())
	}
}

func TestWhatIsOverLeavesNothing(t *testing.T) {
	s := domain.NewSchedule(domain.WorkLimits{})
	s.Open("s")
	use := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := use()
	for i := range 200_000 {
		id := strconv.Itoa(i)
		s.Wait(domain.Item{ID: id, Project: id, Kind: id}, epoch)
		s.Run(id, id)
		s.End(id)
	}
	if after := use(); after > before+1<<20 {
		t.Errorf("%d KiB are left", (after-before)>>10)
	}
	runtime.KeepAlive(s)
}
