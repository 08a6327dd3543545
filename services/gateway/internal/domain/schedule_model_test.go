package domain_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// model is the schedule as its rules say it, with no thought for what it costs: all
// items in a list, by age, which is searched for everything.
type model struct {
	limits domain.WorkLimits
	now    time.Time
	items  []*modelItem
	began  int // items that ran so far
	open   map[string]bool
	turns  map[string]int           // of the items that are due, by slot
	round  map[domain.Priority]int  // of each class
	had    map[domain.Priority]bool // somebody had a turn in the round
	turn   map[modelProject]int     // the round of its next turn
	turnIn map[modelProjectKind]int // the same, in the line for a kind
}

type modelItem struct {
	domain.Item
	state string // waiting, delayed, due, running
	slot  string // where it is due or runs
	began int    // the more, the later
}

type modelProject struct {
	name  string
	class domain.Priority
}

type modelProjectKind struct {
	modelProject
	kind string // "" for all that have no limit
}

func newModel(limits domain.WorkLimits) *model {
	return &model{
		limits: limits, open: map[string]bool{}, turns: map[string]int{},
		round: map[domain.Priority]int{}, had: map[domain.Priority]bool{}, turn: map[modelProject]int{}, turnIn: map[modelProjectKind]int{},
	}
}

func (x *modelItem) project() modelProject { return modelProject{x.Project, x.Priority} }

func (m *model) line(x *modelItem) modelProjectKind {
	if m.limits.PerKind[x.Kind] == 0 {
		return modelProjectKind{x.project(), ""}
	}
	return modelProjectKind{x.project(), x.Kind}
}

func (m *model) all(is func(*modelItem) bool) (those []*modelItem) {
	for _, x := range m.items {
		if is(x) {
			those = append(those, x)
		}
	}
	return those
}

func (m *model) find(id string) *modelItem {
	for _, x := range m.items {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (x *modelItem) held() bool { return x.state == "due" || x.state == "running" }

// stopped tells whether a limit stops an item: its kind's, or its project's.
func (m *model) stopped(x *modelItem) bool {
	ofProject := m.all(func(y *modelItem) bool { return y.held() && y.Project == x.Project })
	return m.full(x.Kind) || m.limits.PerProject > 0 && len(ofProject) >= m.limits.PerProject
}

func (m *model) full(kind string) bool {
	limit := m.limits.PerKind[kind]
	return limit > 0 && len(m.all(func(y *modelItem) bool { return y.held() && y.Kind == kind })) >= limit
}

// due is what is on a slot: what began there first, or what is due.
func (m *model) due(slot string) (first *modelItem) {
	for _, x := range m.all(func(x *modelItem) bool { return x.held() && x.slot == slot }) {
		if first == nil || x.began < first.began {
			first = x
		}
	}
	return first
}

func (m *model) wait(it domain.Item, now time.Time) {
	m.pass(now)
	x := m.find(it.ID)
	if x == nil {
		x = &modelItem{Item: it}
		m.items = append(m.items, x)
	}
	switch {
	case it.NotBefore.After(m.now):
		x.state, x.slot, x.NotBefore = "delayed", "", it.NotBefore
	case x.state != "waiting" && x.state != "due":
		m.lineUp(x)
	}
	m.settle()
}

func (m *model) lineUp(x *modelItem) {
	line := m.line(x)
	if len(m.all(func(y *modelItem) bool { return y.state == "waiting" && m.line(y) == line })) == 0 {
		m.turnIn[line] = max(m.turn[x.project()], m.round[x.Priority])
	}
	x.state, x.slot = "waiting", ""
}

func (m *model) run(id, slot string) {
	x := m.find(id)
	if x == nil || x.state == "running" && x.slot == slot {
		return
	}
	for _, y := range m.all(func(y *modelItem) bool { return y.state == "due" && y.slot == slot && y != x }) {
		m.takeBack(y)
	}
	if !x.held() {
		x.state = ""
		m.charge(x)
	}
	m.began++
	x.state, x.slot, x.began = "running", slot, m.began
	m.settle()
}

func (m *model) takeBack(x *modelItem) {
	slot := x.slot
	m.lineUp(x)
	m.turnIn[m.line(x)] = min(m.turnIn[m.line(x)], m.turns[slot])
}

func (m *model) end(id string) {
	m.items = slices.DeleteFunc(m.items, func(x *modelItem) bool { return x.ID == id })
	m.settle()
}

func (m *model) setOpen(slot string, open bool) {
	m.open[slot] = open
	for _, x := range m.all(func(x *modelItem) bool { return !open && x.state == "due" && x.slot == slot }) {
		m.takeBack(x)
	}
	m.settle()
}

func (m *model) advance(now time.Time) {
	m.pass(now)
	m.settle()
}

func (m *model) pass(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
	for _, x := range m.all(func(x *modelItem) bool { return x.state == "delayed" && !x.NotBefore.After(m.now) }) {
		m.lineUp(x)
	}
}

// charge gives the project of an item its next turn in the next round, and in the lines
// for other kinds, but for those at their limit.
func (m *model) charge(x *modelItem) {
	m.had[x.Priority] = true
	m.turn[x.project()] = m.round[x.Priority] + 1
	m.turnIn[m.line(x)] = m.round[x.Priority] + 1
	for line := range m.turnIn {
		if line.modelProject == x.project() && !m.full(line.kind) {
			m.turnIn[line] = m.round[x.Priority] + 1
		}
	}
}

func (m *model) free() (slots []string) {
	for _, slot := range slices.Sorted(maps.Keys(m.open)) {
		if m.open[slot] && m.due(slot) == nil {
			slots = append(slots, slot)
		}
	}
	return slots
}

func (m *model) settle() {
	for free := m.free(); len(free) > 0; free = m.free() {
		may := m.all(func(x *modelItem) bool { return x.state == "waiting" && !m.stopped(x) })
		if len(may) == 0 { // the round is over
			for class := range m.had {
				m.round[class]++
			}
			clear(m.had)
			return
		}
		// The project whose turn it is has the lowest class, then the lowest round; and
		// as items are in the order of their age, the oldest item of these.
		slices.SortStableFunc(may, func(x, y *modelItem) int {
			if x.Priority != y.Priority {
				return int(x.Priority - y.Priority)
			}
			return m.turnIn[m.line(x)] - m.turnIn[m.line(y)]
		})
		turn := m.turnIn[m.line(may[0])]
		x := m.all(func(x *modelItem) bool {
			return x.state == "waiting" && !m.stopped(x) && x.project() == may[0].project()
		})[0]
		m.round[x.Priority] = max(m.round[x.Priority], turn)
		m.charge(x)
		x.state, x.slot, m.turns[free[0]] = "due", free[0], turn
		x.began = 0
	}
}

func (m *model) counts(is func(*modelItem) bool) (c domain.Counts) {
	for _, x := range m.all(is) {
		switch x.state {
		case "waiting", "due":
			c.Waiting++
		case "delayed":
			c.Delayed++
		case "running":
			c.Running++
		}
	}
	return c
}

// history tells a schedule and the model the same, as next draws it of so many, and
// compares them after every call.
type history struct {
	t     *testing.T
	s     *domain.Schedule
	m     *model
	slots []string
	next  func(n int) int
	now   time.Time
	call  string
}

func newHistory(t *testing.T, next func(n int) int) *history {
	t.Helper()
	limits := domain.WorkLimits{PerProject: next(4), PerKind: map[string]int{"deploy": next(4), "test": next(4)}}
	h := &history{t: t, s: domain.NewSchedule(limits), m: newModel(limits), next: next, now: epoch}
	for i := range 1 + next(6) {
		h.slots = append(h.slots, fmt.Sprintf("s%d", i))
	}
	return h
}

func (h *history) step(items int) {
	h.t.Helper()
	slot, id := h.slots[h.next(len(h.slots))], fmt.Sprintf("i%d", h.next(items))
	var underway bool
	var call func() []string
	var tell func()
	switch what := h.next(20); what {
	default: // 0 to 5
		it := domain.Item{
			ID: id, Project: fmt.Sprintf("p%d", h.next(5)), Kind: []string{"build", "custom", "test", "deploy"}[h.next(4)],
			Priority: domain.Priority(h.next(3) - 1), NotBefore: h.now.Add(time.Duration(max(0, h.next(30)-20)) * time.Second),
		}
		if known := h.m.find(id); known != nil { // what it is of counts as it was told first
			known := known.Item
			it.Project, it.Kind, it.Priority = "p9", "other", -known.Priority
			known.NotBefore = it.NotBefore
			call, tell = func() []string { return h.s.Wait(it, h.now) }, func() { h.m.wait(known, h.now) }
		} else {
			call, tell = func() []string { return h.s.Wait(it, h.now) }, func() { h.m.wait(it, h.now) }
		}
		h.call = fmt.Sprintf("%s waits: %+v", id, it)
	case 6, 7, 8, 9, 10: // what is due on the slot runs
		id, underway, _ = h.s.Due(slot)
		if underway {
			h.call = id + " is over"
			call, tell = func() []string { return h.s.End(id) }, func() { h.m.end(id) }
			break
		}
		fallthrough
	case 11, 12: // or another does
		h.call = fmt.Sprintf("%s runs on %s", id, slot)
		call, tell = func() []string { return h.s.Run(id, slot) }, func() { h.m.run(id, slot) }
	case 13:
		h.call = id + " is over"
		call, tell = func() []string { return h.s.End(id) }, func() { h.m.end(id) }
	case 14, 15, 16:
		h.call = slot + " opens"
		call, tell = func() []string { return h.s.Open(slot) }, func() { h.m.setOpen(slot, true) }
	case 17:
		h.call = slot + " closes"
		call, tell = func() []string { return h.s.Close(slot) }, func() { h.m.setOpen(slot, false) }
	case 18, 19:
		h.now = h.now.Add(time.Duration(h.next(5)-1) * time.Second) // it is told to go back, too
		h.call = fmt.Sprintf("it is %s", h.now)
		call, tell = func() []string { return h.s.Advance(h.now) }, func() { h.m.advance(h.now) }
	}

	before := map[string]string{}
	for _, slot := range h.slots {
		before[slot], _, _ = h.s.Due(slot)
	}
	changed := call()
	tell()
	h.compare(before, changed)
	h.check(changed)
	if h.next(4) == 0 {
		if again := call(); again != nil {
			h.t.Fatalf("%s: told twice, %q change", h.call, again)
		}
		h.compare(nil, nil)
	}
}

// compare holds all that the schedule tells against the model.
func (h *history) compare(before map[string]string, changed []string) {
	h.t.Helper()
	var want []string
	for _, slot := range h.slots {
		x := h.m.due(slot)
		if x == nil {
			x = &modelItem{}
		}
		id, underway, ok := h.s.Due(slot)
		if id != x.ID || ok != (id != "") || underway != (x.state == "running") {
			h.t.Fatalf("%s: on %s is %q (runs: %t), want %q (%s)", h.call, slot, id, underway, x.ID, x.state)
		}
		if before != nil && before[slot] != id {
			want = append(want, slot)
		}
	}
	if !slices.Equal(changed, want) {
		h.t.Fatalf("%s: %q changed, want %q", h.call, changed, want)
	}

	if got, want := h.s.Total(), h.m.counts(func(*modelItem) bool { return true }); got != want {
		h.t.Fatalf("%s: %+v in all, want %+v", h.call, got, want)
	}
	projects, kinds := map[string]domain.Counts{}, map[string]domain.Counts{}
	next := time.Time{}
	for _, x := range h.m.items {
		projects[x.Project] = h.m.counts(func(y *modelItem) bool { return x.Project == y.Project })
		kinds[x.Kind] = h.m.counts(func(y *modelItem) bool { return x.Kind == y.Kind })
		if x.state == "delayed" && (next.IsZero() || x.NotBefore.Before(next)) {
			next = x.NotBefore
		}
	}
	for _, name := range []string{"p0", "p1", "p2", "p3", "p4", "none"} {
		if got := h.s.Project(name); got != projects[name] {
			h.t.Fatalf("%s counts %+v, want %+v", name, got, projects[name])
		}
	}
	if got := h.s.Projects(); !maps.Equal(got, projects) {
		h.t.Fatalf("%s: %+v, want %+v", h.call, got, projects)
	}
	if got := h.s.Kinds(); !maps.Equal(got, kinds) {
		h.t.Fatalf("%s: %+v, want %+v", h.call, got, kinds)
	}
	if got, ok := h.s.Next(); !got.Equal(next) || ok != !next.IsZero() {
		h.t.Fatalf("%s: the next comes %s, want %s", h.call, got, next)
	}
}

// check holds what is due against what must be true of it, whatever the model says.
func (h *history) check(changed []string) {
	h.t.Helper()
	on := map[string]string{}
	for _, slot := range h.slots {
		if id, _, ok := h.s.Due(slot); ok {
			if on[id] != "" {
				h.t.Fatalf("%s: %s is on %s and %s", h.call, id, on[id], slot)
			}
			on[id] = slot
		}
	}
	left := h.m.all(func(x *modelItem) bool { return x.state == "waiting" })
	for _, y := range left {
		if free := h.m.free(); len(free) > 0 && !h.m.stopped(y) {
			h.t.Fatalf("%s: %s waits, and %q are free", h.call, y.ID, free)
		}
	}
	for _, slot := range changed {
		id, underway, ok := h.s.Due(slot)
		if !ok || underway {
			continue
		}
		x := h.m.find(id)
		ofProject := h.m.all(func(y *modelItem) bool { return y.held() && y.Project == x.Project })
		ofKind := h.m.all(func(y *modelItem) bool { return y.held() && y.Kind == x.Kind })
		project, kind := h.m.limits.PerProject, h.m.limits.PerKind[x.Kind]
		if project > 0 && len(ofProject) > project || kind > 0 && len(ofKind) > kind {
			h.t.Fatalf("%s: %s became due, with %d of its project and %d of its kind", h.call, id, len(ofProject), len(ofKind))
		}
		for _, y := range left {
			older := y.project() == x.project() && slices.Index(h.m.items, y) < slices.Index(h.m.items, x) && !h.m.full(y.Kind)
			if older || y.Priority < x.Priority && !h.m.stopped(y) {
				h.t.Fatalf("%s: %s became due, and %s waits", h.call, id, y.ID)
			}
		}
	}
}

func TestTheScheduleIsThatOfItsRules(t *testing.T) {
	steps := 0
	for seed := range uint64(150) {
		h := newHistory(t, rand.New(rand.NewPCG(seed, 1)).IntN)
		for range 400 {
			h.step(8 + 8*int(seed%5))
			steps++
		}
	}
	t.Logf("%d steps", steps)
}

func FuzzSchedule(f *testing.F) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 2))
		bytes := make([]byte, 300)
		for i := range bytes {
			bytes[i] = byte(random.Uint32())
		}
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		h := newHistory(t, func(n int) (drawn int) {
			if len(bytes) > 0 {
				drawn, bytes = int(bytes[0])%n, bytes[1:]
			}
			return drawn
		})
		for len(bytes) > 0 {
			h.step(12)
		}
	})
}
