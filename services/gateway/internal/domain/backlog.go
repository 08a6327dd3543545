package domain

import (
	"slices"
	"time"
)

type stage uint8

const (
	waiting stage = iota + 1 // 0 is of an item that is nowhere
	delayed
	due
	running
)

type item struct {
	id         string
	kind       *kind
	backlog    *backlog // where it waits when it does
	slot       *slot    // where it is due, or runs
	next, prev *item    // in the list of the backlog
	age        uint64   // the lower, the older
	at         int32    // in the heap that it is in, or -1
	stage      stage
}

type kind struct {
	name   string
	counts Counts
	group  *group
}

// group is a kind with a limit, or all those without one.
type group struct {
	limit, held int
	lines       [classes]heap[*backlog] // who may have a turn, but for the limit of the group
}

func (g *group) full() bool { return g.limit > 0 && g.held >= g.limit }

// minIdle is for how many items, which were the last of their projects, it is not worth
// while to look for projects to forget.
const minIdle = 64

type project struct {
	name     string
	counts   Counts
	held     int
	rounds   [classes]int64 // of its next turn
	backlogs []*backlog
}

// backlog is what waits of a project in a class and a group. Most items come in the
// order of their age, and are in a list; the others are in a heap.
type backlog struct {
	project    *project
	class      int
	group      *group
	head, tail *item
	late       heap[latecomer]
	first      uint64 // the age of the oldest
	round      int64  // of its next turn
	at         int32  // in the line of its group, or -1
}

func (b *backlog) empty() bool { return b.head == nil && len(b.late) == 0 }

func (b *backlog) oldest() *item {
	if len(b.late) > 0 && (b.head == nil || b.late[0].age < b.head.age) {
		return b.late[0].item
	}
	return b.head
}

func (b *backlog) add(x *item) {
	if b.empty() || x.age < b.first {
		b.first = x.age
	}
	switch {
	case b.head == nil:
		b.head, b.tail = x, x
	case x.age > b.tail.age:
		x.prev, b.tail.next, b.tail = b.tail, x, x
	default:
		b.late.push(latecomer{x})
	}
}

func (b *backlog) remove(x *item) {
	switch {
	case x.at >= 0:
		b.late.remove(x.at)
	default:
		if x.prev != nil {
			x.prev.next = x.next
		} else {
			b.head = x.next
		}
		if x.next != nil {
			x.next.prev = x.prev
		} else {
			b.tail = x.prev
		}
		x.next, x.prev = nil, nil
	}
	if oldest := b.oldest(); oldest != nil {
		b.first = oldest.age
	}
}

type slot struct {
	name    string
	open    bool
	due     *item
	turn    int64 // the round of the turn that it was given
	running []*item
	at      int32 // among the free, or -1
	touched bool  // by the call that is on
	was     *item // what it was due to hold before it
}

// holds is the item that is due, and whether it runs.
func (at *slot) holds() (x *item, underway bool) {
	if len(at.running) > 0 {
		return at.running[0], true
	}
	return at.due, false
}

// pass tells what time it is. Who may start now gets in line.
func (s *Schedule) pass(now time.Time) {
	if now.After(s.now) {
		s.now = now
	}
	for len(s.delays) > 0 && !s.delays[0].until.After(s.now) {
		x := s.delays[0].item
		s.leave(x)
		s.lineUp(x)
	}
}

// add makes an item that is nowhere.
func (s *Schedule) add(it Item) *item {
	p := s.projects[it.Project]
	if p == nil {
		p = &project{name: it.Project}
		s.projects[it.Project] = p
	}
	k := s.kinds[it.Kind]
	if k == nil {
		k = &kind{name: it.Kind, group: s.groups[0]}
		s.kinds[it.Kind] = k
	}
	class := int(min(max(it.Priority, High), Low) - High)
	i := slices.IndexFunc(p.backlogs, func(b *backlog) bool { return b.class == class && b.group == k.group })
	if i < 0 {
		i = len(p.backlogs)
		p.backlogs = append(p.backlogs, &backlog{project: p, class: class, group: k.group, at: -1})
	}
	x := &item{id: it.ID, kind: k, backlog: p.backlogs[i], age: s.told, at: -1}
	s.told++
	s.items[x.id] = x
	return x
}

// forget drops an item that is nowhere.
func (s *Schedule) forget(x *item) {
	delete(s.items, x.id)
	if k := x.kind; k.counts == (Counts{}) && k.group.limit == 0 {
		delete(s.kinds, k.name)
	}
	if x.backlog.project.counts == (Counts{}) {
		if s.idled++; s.idled > len(s.projects)/2 {
			s.forgetIdle()
		}
	}
}

// forgetIdle drops the projects that have no item, but for those that had their turn in
// the round that is on.
func (s *Schedule) forgetIdle() {
	rest := map[string]*project{}
	for name, p := range s.projects {
		keep := p.counts != (Counts{})
		for class, next := range p.rounds {
			keep = keep || next > s.round[class]
		}
		if keep {
			rest[name] = p
		}
	}
	s.projects, s.idled = rest, -minIdle
}

// leave takes an item from where it is.
func (s *Schedule) leave(x *item) {
	switch x.stage {
	case waiting:
		x.backlog.remove(x)
		s.rank(x.backlog)
	case delayed:
		s.delays.remove(x.at)
	case due, running:
		at := s.mark(x.slot)
		if x.stage == due {
			at.due = nil
		} else {
			at.running = slices.DeleteFunc(at.running, func(other *item) bool { return other == x })
		}
		x.slot = nil
		s.vacate(at)
		s.hold(x, -1)
	}
	s.count(x, -1)
	x.stage = 0
}

// lineUp has an item that is nowhere wait for a slot.
func (s *Schedule) lineUp(x *item) {
	b := x.backlog
	if b.empty() {
		b.round = max(b.project.rounds[b.class], s.round[b.class])
	}
	b.add(x)
	x.stage = waiting
	s.count(x, 1)
	s.rank(b)
}

// count counts an item where it stands.
func (s *Schedule) count(x *item, n int) {
	for _, c := range []*Counts{&s.total, &x.backlog.project.counts, &x.kind.counts} {
		switch x.stage {
		case waiting, due:
			c.Waiting += n
		case delayed:
			c.Delayed += n
		case running:
			c.Running += n
		}
	}
}

// hold counts an item, or no longer, toward the limits.
func (s *Schedule) hold(x *item, n int) {
	x.kind.group.held += n
	p := x.backlog.project
	before := s.full(p)
	p.held += n
	if s.full(p) != before {
		for _, b := range p.backlogs {
			s.rank(b)
		}
	}
}

func (s *Schedule) full(p *project) bool { return s.perProject > 0 && p.held >= s.perProject }

// rank puts a backlog where it belongs in the line of its group: nowhere where it is
// empty or its project at its limit.
func (s *Schedule) rank(b *backlog) {
	line := &b.group.lines[b.class]
	switch in := !b.empty() && !s.full(b.project); {
	case in && b.at >= 0:
		line.fix(b.at)
	case in:
		line.push(b)
	case b.at >= 0:
		line.remove(b.at)
	}
}

// vacate puts a slot among the free ones, or takes it from them.
func (s *Schedule) vacate(at *slot) {
	switch free := at.open && at.due == nil && len(at.running) == 0; {
	case free && at.at < 0:
		s.free.push(at)
	case !free && at.at >= 0:
		s.free.remove(at.at)
	}
}

// touch is a slot that is about to change, which may be a new one.
func (s *Schedule) touch(name string) *slot {
	at := s.slots[name]
	if at == nil {
		at = &slot{name: name, at: -1}
		s.slots[name] = at
	}
	return s.mark(at)
}

func (s *Schedule) mark(at *slot) *slot {
	if !at.touched {
		at.was, _ = at.holds()
		at.touched = true
		s.touched = append(s.touched, at)
	}
	return at
}

// delay is an item that waits for its time.
type delay struct {
	until time.Time
	*item
}

func (d delay) before(other delay) bool { return d.until.Before(other.until) }

// latecomer is an item that waits, and is older than others of its backlog's list.
type latecomer struct{ *item }

func (l latecomer) before(other latecomer) bool { return l.age < other.age }

func (x *item) place(at int32) { x.at = at }

func (b *backlog) before(other *backlog) bool {
	return b.round < other.round || b.round == other.round && b.first < other.first
}

func (b *backlog) place(at int32) { b.at = at }

func (at *slot) before(other *slot) bool { return at.name < other.name }

func (at *slot) place(i int32) { at.at = i }

// heap has the one that comes before all others at its head. Each is told its place,
// and -1 once it has none.
type heap[T ranked[T]] []T

type ranked[T any] interface {
	before(T) bool
	place(int32)
}

func (h *heap[T]) push(x T) {
	*h = append(*h, x)
	h.up(int32(len(*h) - 1))
}

func (h *heap[T]) remove(i int32) {
	last := int32(len(*h) - 1)
	x := (*h)[i]
	(*h)[i] = (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	if i < last {
		h.fix(i)
	}
	x.place(-1)
}

// fix finds the place of the one that is at i and has changed.
func (h heap[T]) fix(i int32) {
	if !h.up(i) {
		h.down(i)
	}
}

func (h heap[T]) up(i int32) (moved bool) {
	x := h[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !x.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		h[i].place(i)
		i, moved = parent, true
	}
	h[i] = x
	x.place(i)
	return moved
}

func (h heap[T]) down(i int32) {
	x, size := h[i], int32(len(h))
	for {
		child := 2*i + 1
		if child >= size {
			break
		}
		if child+1 < size && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(x) {
			break
		}
		h[i] = h[child]
		h[i].place(i)
		i = child
	}
	h[i] = x
	x.place(i)
}
