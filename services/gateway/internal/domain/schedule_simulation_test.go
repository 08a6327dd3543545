package domain_test

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// plant is what is simulated: so many jobs of so many projects, and workers that take
// them in time that is simulated, too.
type plant struct {
	jobs, projects, workers int
	oneLine                 bool // the schedule knows no projects: all wait in one line
}

type job struct {
	item    domain.Item
	project int
	at      time.Duration // it comes
	takes   time.Duration
	fails   int  // so many of its tries do
	storm   bool // it comes with those of all other projects
}

// meanTime is what a job takes at the mean, its tries that fail and all.
const meanTime = 31 * time.Second * 105 / 100

// workload keeps nine tenths of the workers busy for 85 of 100 jobs. They come in
// batches, some of which are large; a fifth is of project 0, and most projects have few.
// Half way, project 0 sends five of 100 at once. When all that is over comes the storm:
// project 0 sends two of 100, and then all projects eight, each as many as the others.
func (p plant) workload(seed uint64) []job {
	random := rand.New(rand.NewPCG(seed, 3))
	jobs := make([]job, 0, p.jobs)
	add := func(project int, at time.Duration) *job {
		jobs = append(jobs, job{project: project, at: at, takes: time.Second + time.Duration(random.ExpFloat64()*float64(30*time.Second))})
		j := &jobs[len(jobs)-1]
		for j.fails < 3 && random.IntN(20) == 0 {
			j.fails++
		}
		j.item = domain.Item{ID: fmt.Sprintf("%07d", len(jobs)-1), Project: fmt.Sprintf("project-%d", project), Kind: "build"}
		if p.oneLine {
			j.item.Project = "all"
		}
		return j
	}

	shares := make([]float64, p.projects)
	for i, sum := 0, 0.0; i < p.projects; i++ {
		sum += math.Pow(float64(i+1), -1.2)
		shares[i] = sum
	}
	kinds := []string{"build", "build", "build", "build", "build", "test", "test", "test", "custom", "deploy"}
	priorities := []domain.Priority{domain.High, domain.Low, domain.Low}
	at, every := time.Duration(0), float64(meanTime)/float64(p.workers)/0.9
	burst, storm := p.jobs*5/100, p.jobs*10/100
	for steady := p.jobs - burst - storm; steady > 0; {
		project := sort.SearchFloat64s(shares, random.Float64()*shares[p.projects-1])
		size := min(int(math.Pow(1-random.Float64(), -0.7)), 500, steady)
		for range size {
			j := add(project, at)
			j.item.Kind = kinds[random.IntN(10)]
			if draw := random.IntN(10); draw < 3 {
				j.item.Priority = priorities[draw]
			}
		}
		at += time.Duration(random.ExpFloat64() * every * float64(size))
		steady -= size
		for ; burst > 0 && steady < p.jobs*85/200; burst-- {
			add(0, at)
		}
	}
	at += 2 * time.Hour
	for i := range storm {
		j := add(max(0, i-storm/5)%p.projects, at)
		j.storm = true
	}
	return jobs
}

// outcome is what became of the jobs.
type outcome struct {
	waits     map[string][]time.Duration // until the first try, in the order of their length, of whom
	served    []float64                  // tries begun of each project in the storm, while all had some left
	seconds   []float64                  // the same, in what they took
	decisions int
	digest    uint64 // of who began when
	end       time.Duration
}

// completions are the tries that run, the first to end at the head.
type completions []completion

type completion struct {
	at   time.Duration
	job  int
	tell int // the order in which they began
}

func (c completions) Len() int { return len(c) }
func (c completions) Less(i, j int) bool {
	return c[i].at < c[j].at || c[i].at == c[j].at && c[i].tell < c[j].tell
}
func (c completions) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *completions) Push(x any)   { *c = append(*c, x.(completion)) }
func (c *completions) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

func (p plant) simulate(jobs []job) *outcome {
	s := domain.NewSchedule(domain.WorkLimits{PerKind: map[string]int{"deploy": p.workers / 5}})
	for i := range p.workers {
		s.Open(fmt.Sprintf("worker-%03d", i))
	}
	o := &outcome{waits: map[string][]time.Duration{}, served: make([]float64, p.projects), seconds: make([]float64, p.projects)}
	var running completions
	tries := make([]uint8, len(jobs))
	of := make([]int, p.projects)   // jobs of each project, but for the storm
	left := make([]int, p.projects) // of the storm
	all := false                    // projects have some left
	for i := range jobs {
		if !jobs[i].storm {
			of[jobs[i].project]++
		}
	}
	digest := fnv.New64a()
	var now time.Duration

	start := func(changed []string) {
		for _, slot := range changed {
			id, underway, ok := s.Due(slot)
			if !ok || underway {
				continue
			}
			o.decisions++
			i, _ := strconv.Atoi(id)
			j := &jobs[i]
			s.Run(id, slot)
			heap.Push(&running, completion{now + j.takes, i, o.decisions})
			digest.Write(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, uint32(i)), uint64(now)))
			if all && j.item.Priority == domain.Normal {
				o.served[j.project]++
				o.seconds[j.project] += j.takes.Seconds()
			}
			if tries[i] > 0 {
				continue
			}
			for _, whom := range groups(j, of[j.project]) {
				o.waits[whom] = append(o.waits[whom], now-j.at)
			}
			if j.storm {
				left[j.project]--
				all = all && left[j.project] > 0
			}
		}
	}
	for next := 0; ; {
		delayed, isDelayed := s.Next()
		comes := func(at time.Duration) bool { return !isDelayed || !delayed.Before(epoch.Add(at)) }
		switch {
		case len(running) > 0 && comes(running[0].at) && (next == len(jobs) || running[0].at <= jobs[next].at):
			done := heap.Pop(&running).(completion)
			now = done.at
			j := &jobs[done.job]
			if int(tries[done.job]) < j.fails {
				again := j.item
				again.NotBefore = epoch.Add(now + 10*time.Second<<tries[done.job])
				tries[done.job]++
				start(s.Wait(again, epoch.Add(now)))
			} else {
				start(s.End(j.item.ID))
			}
		case next < len(jobs) && comes(jobs[next].at):
			j := &jobs[next]
			now = j.at
			if j.storm {
				left[j.project]++
				all = next == len(jobs)-1
			}
			next++
			start(s.Wait(j.item, epoch.Add(now)))
		case isDelayed:
			now = delayed.Sub(epoch)
			start(s.Advance(delayed))
		default:
			for _, waits := range o.waits {
				slices.Sort(waits)
			}
			o.digest, o.end = digest.Sum64(), now
			return o
		}
	}
}

// groups are those whose waits are told together, of which a job is.
func groups(j *job, ofProject int) []string {
	if j.storm {
		return []string{"storm"}
	}
	class := []string{"high", "normal", "low"}[j.item.Priority-domain.High]
	all := []string{class}
	switch {
	case j.project == 0:
		all = append(all, class+", project 0")
	case ofProject < 250:
		all = append(all, class+", small projects")
	}
	return all
}

// quantile is how long all but a part waited at most.
func (o *outcome) quantile(whom string, q float64) time.Duration {
	waits := o.waits[whom]
	if len(waits) == 0 {
		return 0
	}
	return waits[min(int(q*float64(len(waits))), len(waits)-1)].Round(time.Second / 10)
}

// jain is Jain's index of fairness: 1 where all have the same, 1/n where one has all.
func jain(have []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range have {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(have)) * squares)
}

func (o *outcome) table() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%-24s %8s %10s %10s %10s %10s\n", "waits", "jobs", "p50", "p95", "p99", "max")
	for _, class := range []string{"high", "normal", "low"} {
		for _, whom := range []string{class, class + ", small projects", class + ", project 0"} {
			fmt.Fprintf(&text, "%-24s %8d %10s %10s %10s %10s\n", whom, len(o.waits[whom]),
				o.quantile(whom, 0.5), o.quantile(whom, 0.95), o.quantile(whom, 0.99), o.quantile(whom, 1))
		}
	}
	fmt.Fprintf(&text, "storm: Jain's index %.6f of items, %.6f of seconds; tries of a project %.0f to %.0f\n",
		jain(o.served), jain(o.seconds), slices.Min(o.served), slices.Max(o.served))
	fmt.Fprintf(&text, "%d decisions; the last ends at %s", o.decisions, o.end.Round(time.Second))
	return text.String()
}

// TestSimulation is a small one, in which no number depends on the machine.
func TestSimulation(t *testing.T) {
	p := plant{jobs: 20_000, projects: 100, workers: 20}
	jobs := p.workload(1)
	fair := p.simulate(jobs)
	if again := p.simulate(jobs); again.digest != fair.digest {
		t.Errorf("the same jobs, in another order: %x, then %x", fair.digest, again.digest)
	}
	p.oneLine = true
	line := p.simulate(p.workload(1))

	begun := len(fair.waits["storm"])
	for _, class := range []string{"high", "normal", "low"} {
		begun += len(fair.waits[class])
	}
	if begun != p.jobs {
		t.Errorf("%d of %d began", begun, p.jobs)
	}
	if got, beside := jain(fair.served), jain(line.served); got < 0.995 || beside > 0.5 {
		t.Errorf("Jain's index is %f, and %f in one line", got, beside)
	}
	least := func(whom string, q float64, part float64) {
		t.Helper()
		got, beside := fair.quantile(whom, q), line.quantile(whom, q)
		if got.Seconds() > part*beside.Seconds() {
			t.Errorf("%s: %g of them wait %s at most, and %s in one line", whom, q, got, beside)
		}
	}
	least("normal, small projects", 0.95, 0.1)
	least("normal, small projects", 0.99, 0.15)
	least("normal, project 0", 1, 2) // somebody pays for it
	if got := fair.quantile("high", 1); got > time.Minute {
		t.Errorf("one of high priority waits %s", got)
	}
	if lost := fair.end.Seconds()/line.end.Seconds() - 1; lost > 0.01 {
		t.Errorf("%.1f %% of the time is lost", 100*lost)
	}
	if t.Failed() {
		t.Logf("fair\n%s\nin one line\n%s", fair.table(), line.table())
	}
}

// TestNobodyIsOvertakenByMoreThanAShare counts, while a project has something waiting,
// by how many items each other one gets ahead of it: two at most. And where a kind has
// a limit, how many items of that kind each other project gets while it is the turn of
// one in its own: two at most, whatever else the project gets.
func TestNobodyIsOvertakenByMoreThanAShare(t *testing.T) {
	type ahead [8][8]int
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 4))
		limits := domain.WorkLimits{PerKind: map[string]int{"deploy": int(seed % 3)}}
		s := domain.NewSchedule(limits)
		var lead, passed ahead // of the first by the second
		var waiting [8][]domain.Item
		total, most := 0, 0
		see := func(changed []string) {
			for _, slot := range changed {
				id, _, ok := s.Due(slot)
				if !ok {
					continue
				}
				q := int(id[0] - 'a')
				i := slices.IndexFunc(waiting[q], func(it domain.Item) bool { return it.ID == id })
				kind := waiting[q][i].Kind
				waiting[q] = slices.Delete(waiting[q], i, i+1)
				total--
				for p := range waiting {
					if lead[q][p] = max(0, lead[q][p]-1); len(waiting[q]) == 0 {
						lead[q][p] = 0
					}
					if i == 0 {
						passed[q][p] = 0
					}
					if p == q || len(waiting[p]) == 0 {
						continue
					}
					lead[p][q]++
					if kind == "deploy" && waiting[p][0].Kind == kind {
						passed[p][q]++
					}
					if most = max(most, passed[p][q]); passed[p][q] > 2 || seed%3 == 0 && lead[p][q] > 2 {
						t.Fatalf("seed %d: %c is %d ahead of %c, and overtook a deployment %d times", seed, 'a'+q, lead[p][q], 'a'+p, passed[p][q])
					}
				}
			}
		}
		slots := []string{"s1", "s2", "s3", "s4"}
		for _, slot := range slots {
			s.Open(slot)
		}
		for n := range 4000 {
			if total < 10 || total < 150 && random.IntN(2) == 0 {
				q := random.IntN(1 + random.IntN(8))
				it := domain.Item{ID: fmt.Sprintf("%c%d", 'a'+q, n), Project: fmt.Sprint(q), Kind: []string{"build", "deploy", "test"}[random.IntN(3)]}
				waiting[q] = append(waiting[q], it)
				total++
				see(s.Wait(it, epoch))
				continue
			}
			id, _, _ := s.Due(slots[random.IntN(4)])
			see(s.End(id))
		}
	}
}

func BenchmarkSimulationOfAMillion(b *testing.B) {
	p := plant{jobs: 1_000_000, projects: 1000, workers: 200}
	jobs := p.workload(1)
	var o *outcome
	decisions := 0
	for b.Loop() {
		o = p.simulate(jobs)
		decisions += o.decisions
	}
	b.ReportMetric(float64(decisions)/b.Elapsed().Seconds(), "decisions/s")
	b.ReportMetric(jain(o.served), "jain")
	b.ReportMetric(o.quantile("normal, small projects", 0.99).Seconds(), "small-p99-s")
	b.ReportMetric(o.quantile("normal, project 0", 0.99).Seconds(), "heavy-p99-s")
	b.Log("\n" + o.table())
	line := plant{jobs: p.jobs, projects: p.projects, workers: p.workers, oneLine: true}
	b.Log("in one line, for comparison\n" + line.simulate(line.workload(1)).table())
}

// BenchmarkItem takes an item through the schedule while others wait, of 1,000 projects
// and for 200 workers that are all busy: it comes, one that ran is over, and what is due
// there then runs.
func BenchmarkItem(b *testing.B) {
	kinds := []string{"build", "test", "build", "test", "deploy", "build", "test", "build", "test", "build"}
	for _, others := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("%d others", others), func(b *testing.B) {
			benchmarkItem(b, others, func(n int) string { return kinds[(n+n/1000)%len(kinds)] })
		})
	}
	for _, others := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("%d others of a kind at its limit", others), func(b *testing.B) {
			benchmarkItem(b, others, func(n int) string {
				if n < others {
					return "custom"
				}
				return "build"
			})
		})
	}
}

func benchmarkItem(b *testing.B, others int, kind func(n int) string) {
	b.Helper()
	s := domain.NewSchedule(domain.WorkLimits{PerProject: 50, PerKind: map[string]int{"deploy": 30, "custom": 1}})
	workers, projects := make([]string, 200), make([]string, 1000)
	for i := range workers {
		workers[i] = fmt.Sprintf("worker-%03d", i)
	}
	for i := range projects {
		projects[i] = fmt.Sprintf("project-%d", i)
	}
	come := func(n int) {
		id := "01890a5d-ac96-774b-bcce-" + strconv.Itoa(100_000_000_000+n)
		s.Wait(domain.Item{ID: id, Project: projects[n*7919%len(projects)], Kind: kind(n)}, epoch)
	}
	run := func(worker string) {
		id, _, _ := s.Due(worker)
		s.Run(id, worker)
	}

	before, after := runtime.MemStats{}, runtime.MemStats{}
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for ; n < others+len(workers); n++ {
		come(n)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for _, worker := range workers {
		s.Open(worker)
		run(worker)
	}
	for b.Loop() {
		come(n)
		worker := workers[1+n%(len(workers)-1)]
		id, _, _ := s.Due(worker)
		s.End(id)
		run(worker)
		n++
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(others+len(workers)), "B/other")
	if got, want := s.Total(), (domain.Counts{Waiting: others, Running: len(workers)}); got != want {
		b.Fatalf("%+v, want %+v", got, want)
	}
}
