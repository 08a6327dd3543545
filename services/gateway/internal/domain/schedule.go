package domain

import (
	"maps"
	"slices"
	"time"
)

// Priority is the class of an item: all that wait in one go before any of the next.
type Priority int

// The priorities.
const (
	High Priority = iota - 1
	Normal
	Low
)

const classes = 3

// Item is a piece of a project's work.
type Item struct {
	ID, Project, Kind string
	Priority          Priority
	NotBefore         time.Time // it does not start before; zero where it may at once
}

// WorkLimits are how many items may run or be due at once; 0 is no limit.
type WorkLimits struct {
	PerProject int
	PerKind    map[string]int // of all projects; a kind that is not in it has no limit
}

// Counts are how many items stand where.
type Counts struct {
	Waiting int // for a slot, or for the one where they are due to take them
	Delayed int // until a time that has not come
	Running int
}

// Schedule knows which item each slot is due to hold: the one that runs there, or else
// one that was chosen for it when it was free, and stays until it runs, is over, or
// must wait for its time, or the slot is closed or runs another.
//
//	       Wait, not yet     Advance            chosen         Run
//	      ┌─────────▶ delayed ──────▶ waiting ────────▶ due ────────▶ running ──▶ End
//	(new)─┤                            ▲  ▲              │               │
//	      └────────────────────────────┘  └──────────────┴───────────────┘
//	       Wait                            taken back        Wait: another try
//
// Who is chosen: all of a higher priority first; then the project whose turn it is;
// then its oldest item, by when it waited first. Items of a project or a kind that is
// at its limit are passed over.
//
// Turns are start-time fair queueing, each item a unit of service: in each class a
// virtual time counts the rounds, and a project has a turn in each round, the one
// whose item is oldest first. One that had nothing waiting begins in the round that is
// on, if it had no turn in it yet. The round is over, too, where a slot is free and
// nobody may have it. Who was passed over comes first once he is not, but for one turn
// only, and whatever else he got meanwhile does not set him back in the line for a kind
// that was at its limit.
//
// Two schedules that were told the same in the same order agree. To be told something
// twice changes nothing, and what is unknown is ignored; but an item that is over is
// forgotten, and waits anew where it is told to. The methods that tell it something
// return the slots that are due to hold another item than before, in order.
type Schedule struct {
	perProject int
	groups     []*group // the first is of the kinds without a limit
	now        time.Time
	round      [classes]int64
	had        [classes]bool // somebody had a turn in the round
	told       uint64        // items that waited so far
	items      map[string]*item
	projects   map[string]*project
	idled      int // times that a project was left without an item, since these were forgotten
	kinds      map[string]*kind
	slots      map[string]*slot
	delays     heap[delay]
	free       heap[*slot] // open, and due to hold nothing
	total      Counts
	touched    []*slot // by the call that is on
}

// NewSchedule is the schedule of an empty log.
func NewSchedule(limits WorkLimits) *Schedule {
	s := &Schedule{
		perProject: limits.PerProject, groups: []*group{{}},
		items: map[string]*item{}, projects: map[string]*project{}, kinds: map[string]*kind{}, slots: map[string]*slot{},
	}
	for _, name := range slices.Sorted(maps.Keys(limits.PerKind)) {
		if limit := limits.PerKind[name]; limit > 0 {
			g := &group{limit: limit}
			s.groups = append(s.groups, g)
			s.kinds[name] = &kind{name: name, group: g}
		}
	}
	return s
}

// Wait tells that an item waits: for the first time, or again after a try that failed.
// What it is of counts as it was told first, and so does its age. Time never goes back:
// an earlier one counts as the latest that was told.
func (s *Schedule) Wait(it Item, now time.Time) (changed []string) {
	s.pass(now)
	x := s.items[it.ID]
	if x == nil {
		x = s.add(it)
	}
	switch {
	case it.NotBefore.After(s.now):
		s.leave(x)
		x.stage = delayed
		s.count(x, 1)
		s.delays.push(delay{it.NotBefore, x})
	case x.stage != waiting && x.stage != due:
		s.leave(x)
		s.lineUp(x)
	}
	return s.settle()
}

// Run tells that an item runs on a slot, whatever the schedule had chosen.
func (s *Schedule) Run(id, slot string) (changed []string) {
	x := s.items[id]
	if x == nil || x.stage == running && x.slot.name == slot {
		return nil
	}
	at := s.touch(slot)
	if at.due != nil && at.due != x {
		s.takeBack(at)
	}
	if x.stage == due || x.stage == running {
		s.hold(x, 1) // first, so that a limit that it is at stays reached
		s.leave(x)
	} else {
		s.leave(x)
		s.charge(x.backlog)
		s.hold(x, 1)
	}
	x.stage, x.slot, at.running = running, at, append(at.running, x)
	s.count(x, 1)
	s.vacate(at)
	return s.settle()
}

// End tells that an item is over.
func (s *Schedule) End(id string) (changed []string) {
	x := s.items[id]
	if x == nil {
		return nil
	}
	s.leave(x)
	s.forget(x)
	return s.settle()
}

// Open tells that a slot takes items.
func (s *Schedule) Open(slot string) (changed []string) {
	at := s.touch(slot)
	at.open = true
	s.vacate(at)
	return s.settle()
}

// Close tells that a slot takes no more items. What runs there goes on.
func (s *Schedule) Close(slot string) (changed []string) {
	if s.slots[slot] == nil {
		return nil
	}
	at := s.touch(slot)
	at.open = false
	if at.due != nil {
		s.takeBack(at)
	}
	s.vacate(at)
	return s.settle()
}

// Advance tells what time it is.
func (s *Schedule) Advance(now time.Time) (changed []string) {
	s.pass(now)
	return s.settle()
}

// Next is when the first of the delayed items may start, or false where none is.
func (s *Schedule) Next() (at time.Time, ok bool) {
	if len(s.delays) == 0 {
		return time.Time{}, false
	}
	return s.delays[0].until, true
}

// Due is the item that a slot is due to hold and whether it runs there, or false where
// there is none. Where several run, it is the one that began first.
func (s *Schedule) Due(slot string) (id string, underway, ok bool) {
	at := s.slots[slot]
	if at == nil {
		return "", false, false
	}
	x, underway := at.holds()
	if x == nil {
		return "", false, false
	}
	return x.id, underway, true
}

// Total counts all items.
func (s *Schedule) Total() Counts { return s.total }

// Project counts the items of one project.
func (s *Schedule) Project(name string) Counts {
	if p := s.projects[name]; p != nil {
		return p.counts
	}
	return Counts{}
}

// Projects counts the items of every project that has one.
func (s *Schedule) Projects() map[string]Counts {
	all := make(map[string]Counts, len(s.projects))
	for name, p := range s.projects {
		if p.counts != (Counts{}) {
			all[name] = p.counts
		}
	}
	return all
}

// Kinds counts the items of every kind that there is one of.
func (s *Schedule) Kinds() map[string]Counts {
	all := make(map[string]Counts, len(s.kinds))
	for name, k := range s.kinds {
		if k.counts != (Counts{}) {
			all[name] = k.counts
		}
	}
	return all
}

// Startable is how many more items would be due if there were any number of slots: that
// wait for one, as far as the limits leave room for them. Where both projects and kinds
// have limits it may be fewer.
func (s *Schedule) Startable() int {
	ofProjects, ofKinds := 0, 0
	for _, p := range s.projects {
		due := p.held - p.counts.Running
		waiting := p.counts.Waiting - due
		ofKinds -= due
		if s.perProject > 0 {
			waiting = min(waiting, max(0, s.perProject-p.held))
		}
		ofProjects += waiting
	}
	for _, k := range s.kinds {
		waiting := k.counts.Waiting
		if g := k.group; g.limit > 0 {
			due := g.held - k.counts.Running
			waiting = due + min(waiting-due, max(0, g.limit-g.held))
		}
		ofKinds += waiting
	}
	return min(ofProjects, ofKinds)
}

// settle ends a call: every slot that is free gets an item, as long as there is one
// that may go there.
func (s *Schedule) settle() (changed []string) {
	for len(s.free) > 0 {
		turn := s.turn()
		if turn == nil {
			s.nextRound()
			break
		}
		s.assign(turn, s.free[0])
	}
	for _, at := range s.touched {
		if x, _ := at.holds(); x != at.was {
			changed = append(changed, at.name)
		}
		at.touched, at.was = false, nil
		if !at.open && len(at.running) == 0 {
			delete(s.slots, at.name)
		}
	}
	s.touched = s.touched[:0]
	slices.Sort(changed)
	return changed
}

// turn is the backlog whose turn is next, or nil where none may have one.
func (s *Schedule) turn() (next *backlog) {
	for class := range classes {
		for _, g := range s.groups {
			if line := g.lines[class]; len(line) > 0 && !g.full() && (next == nil || line[0].before(next)) {
				next = line[0]
			}
		}
		if next != nil {
			return next
		}
	}
	return nil
}

// assign gives a slot the oldest item of the project that has the turn, of those whose
// kind is not at its limit.
func (s *Schedule) assign(turn *backlog, at *slot) {
	b := turn
	for _, other := range turn.project.backlogs {
		if other.class == turn.class && !other.group.full() && !other.empty() && other.first < b.first {
			b = other
		}
	}
	s.mark(at)
	x := b.oldest()
	x.slot, at.due, at.turn = at, x, turn.round
	s.vacate(at)
	s.round[b.class] = max(s.round[b.class], turn.round)
	b.remove(x)
	s.charge(b)
	s.hold(x, 1)
	x.stage = due // it still counts as waiting
}

// nextRound begins one in every class in which somebody had a turn.
func (s *Schedule) nextRound() {
	for class, had := range s.had {
		if had {
			s.round[class]++
			s.had[class] = false
		}
	}
}

// charge has the next turn of a backlog's project in the next round, except in the
// lines for kinds that are at their limit.
func (s *Schedule) charge(b *backlog) {
	p, next := b.project, s.round[b.class]+1
	p.rounds[b.class], s.had[b.class] = next, true
	for _, other := range p.backlogs {
		if other == b || other.class == b.class && !other.group.full() {
			other.round = next
			s.rank(other)
		}
	}
}

// takeBack puts the item that is due in a slot back to its place, and its project gets
// back the turn.
func (s *Schedule) takeBack(at *slot) {
	x := at.due
	s.leave(x)
	s.lineUp(x)
	x.backlog.round = min(x.backlog.round, at.turn)
	s.rank(x.backlog)
}
