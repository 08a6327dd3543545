package app

import (
	"cmp"
	"math"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// checkOut has a repository at a ref in the workspace, and then becomes a program in a
// directory of it. What git says is no output of the program's.
const checkOut = `url=$1 ref=$2 dir=$3; shift 3
export GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=file:git:http:https:ssh
{ git init -q . && git remote add -- origin "$url" && git fetch -q --depth=1 -- origin "${ref:-HEAD}" &&
git checkout -q --detach FETCH_HEAD && printf 'checked out %s\n' "$(git rev-parse HEAD)"; } </dev/null >&2 || exit 176
cd -- "./$dir" || exit
unset GIT_TERMINAL_PROMPT GIT_ALLOW_PROTOCOL
exec "$@"`

func checkedOut(from contract.Repository, dir string, argv []string) []string {
	return script(checkOut, append([]string{from.URL, from.Ref, dir}, argv...)...)
}

// serve has services run beside a program: it starts them, waits until they can be used,
// and has the program run. Then they get TERM and, after 5 s, KILL, and the exit code is
// that of the program. Each has a process group of its own, so that a TERM for the program
// is none for them; what they print comes line by line with their name.
//
// Its arguments are the number of services, the name and the script of each; the number of
// those to wait for, the name, the script and the seconds of each; and the program.
const serve = `ended= services= namers=
trap 'ended=143' TERM
named() { trap '' TERM; while IFS= read -r line || [ -n "$line" ]; do printf '[%s] %s\n' "$1" "$line"; done >&2; }
signal() { { kill -s "$1" -- "-$2" || kill -s "$1" "$2"; } 2>/dev/null; }
finish() {
	for pid in $services; do signal TERM "$pid"; done
	tries=0
	for pid in $services; do
		while signal 0 "$pid" && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
	done
	for pid in $services; do signal KILL "$pid"; done
	tries=0
	for pid in $namers; do
		while signal 0 "$pid" && [ "$tries" -lt 10 ]; do sleep 0.1; tries=$((tries + 1)); done
	done
	exit "$1"
}
group=; command -v setsid >/dev/null && group=setsid
count=$1; shift
while [ "$count" -gt 0 ]; do
	pipe=${TMPDIR:-/tmp}/service-$1
	mkfifo "$pipe" || finish 1
	named "$1" <"$pipe" & namers="$namers $!"
	$group sh -c "$2" </dev/null >"$pipe" 2>&1 & services="$services $!"
	count=$((count - 1)); shift 2
done
count=$1; shift
while [ "$count" -gt 0 ]; do
	deadline=$(($(date +%s) + $3)) attempt=
	while :; do
		[ -n "$attempt" ] || { sh -c "$2" </dev/null >/dev/null 2>&1 & attempt=$!; }
		sleep 0.2
		[ -z "$ended" ] || finish "$ended"
		if ! kill -s 0 "$attempt" 2>/dev/null; then
			wait "$attempt" && break
			attempt=
		fi
		[ "$(date +%s)" -le "$deadline" ] || { printf 'service %s was not ready within %s s\n' "$1" "$3" >&2; finish 177; }
	done
	count=$((count - 1)); shift 3
done
[ -z "$ended" ] || finish "$ended"
"$@"
finish "$?"`

// defaultReady is how long a service may take to be ready that does not say.
const defaultReady = 30 * time.Second

func withServices(services []contract.Service, argv []string) []string {
	var all, awaited []string
	for _, s := range services {
		all = append(all, s.Name, s.Script)
		if s.Ready != "" {
			within := cmp.Or(time.Duration(s.Within), defaultReady)
			awaited = append(awaited, s.Name, s.Ready, strconv.Itoa(int(math.Ceil(within.Seconds()))))
		}
	}
	args := append([]string{strconv.Itoa(len(services))}, all...)
	args = append(append(args, strconv.Itoa(len(awaited)/3)), awaited...)
	return script(serve, append(args, argv...)...)
}

// Exit codes of rdev's own scripts; few programs have them.
const (
	noCheckout = 176
	notReady   = 177
	noEngine   = 178
	noKubectl  = 179
)

// judgeWork is judge, for what rdev's own scripts come before, or are. They print nothing
// to standard output.
func judgeWork(op contract.Operation, judge func(domain.Exit, stop, []byte) ending) func(domain.Exit, stop, []byte) ending {
	if op.Work == nil {
		return judge
	}
	return func(exit domain.Exit, stopped stop, tail []byte) ending {
		how := judge(exit, stopped, tail)
		if how.exitCode == nil || how.failure == nil || len(tail) > 0 {
			return how
		}
		switch code := *how.exitCode; {
		case code == noCheckout && op.Work.Repository != nil:
			how.failure.Message = "the repository could not be checked out: what git says is in the output"
		case code == notReady && len(op.Work.Services) > 0:
			how.failure.Message = "a service was not ready in time: what it says is in the output"
		case code == noEngine && op.Command.Image != nil:
			how.failure, how.final = contract.NewFailure(contract.ClassInfrastructure, "this worker has no engine that builds images"), true
		case code == noKubectl && op.Command.Deploy != nil:
			how.failure, how.final = contract.NewFailure(contract.ClassInfrastructure, "this worker has no kubectl"), true
		}
		return how
	}
}
