package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// job is a command, or a piece of work, whose doings are known beforehand. It writes a
// journal into its workspace: when it starts, at every step, and when it ends.
type job struct {
	work     bool
	priority contract.Priority
	key      string // of the request, and its name in the journal
	project  string
	steps    int
	pause    time.Duration // at every step
	width    int           // of a line
	code     int           // that it exits with
	stubborn bool          // it does not end by TERM
}

const journal = "journal"

func newJob(random *rand.Rand, project, key string) job {
	j := job{
		work: random.IntN(3) == 0, priority: []contract.Priority{contract.PriorityHigh, contract.PriorityNormal}[random.IntN(2)],
		key: key, project: project, steps: 1 + random.IntN(6), width: 1 + random.IntN(200),
		pause: time.Duration(10+random.IntN(60)) * time.Millisecond, stubborn: random.IntN(8) == 0,
	}
	if random.IntN(4) == 0 {
		j.code = 1 + random.IntN(100)
	}
	switch random.IntN(8) {
	case 0: // long
		j.steps, j.pause = 30, 100*time.Millisecond
	case 1: // much
		j.steps, j.width = 40, 8000
	}
	return j
}

func (j job) nominal() time.Duration { return time.Duration(j.steps) * j.pause }

func (j job) line(stream string, i int) string {
	return fmt.Sprintf("%s %s %d %s\n", j.key, stream, i, strings.Repeat("x", j.width))
}

// script is the job; half of its lines go to standard error. Work fails where somebody was
// in its workspace before it.
func (j job) script() *contract.Shell {
	var script strings.Builder
	if j.work {
		script.WriteString("test -z \"$(ls -A . \"$HOME\" \"$TMPDIR\" | grep -v :)\" || exit 99\n")
	}
	if j.stubborn {
		script.WriteString("trap '' TERM\n")
	}
	fmt.Fprintf(&script, `echo "start %[1]s" >>%[2]s
pad=%[3]s
i=0
while [ $i -lt %[4]d ]; do
  i=$((i+1))
  echo "step %[1]s" >>%[2]s
  if [ $((i %% 2)) = 0 ]; then echo "%[1]s stderr $i $pad" >&2; else echo "%[1]s stdout $i $pad"; fi
  sleep %[5]f
done
echo "end %[1]s" >>%[2]s
exit %[6]d
`, j.key, journal, strings.Repeat("x", j.width), j.steps, j.pause.Seconds(), j.code)
	return &contract.Shell{Script: script.String()}
}

// prints is what the job prints if it comes to its end.
func (j job) prints(stream string) string {
	var text strings.Builder
	for i := 1; i <= j.steps; i++ {
		if (i%2 == 0) == (stream == contract.OutputStderr) {
			text.WriteString(j.line(stream, i))
		}
	}
	return text.String()
}
