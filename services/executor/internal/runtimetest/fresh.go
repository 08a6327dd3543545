package runtimetest

import (
	"errors"
	"strings"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func freshCases() []testCase {
	return []testCase{
		{name: "AFreshRunFindsNothingOfTheOneBefore", test: testFresh},
		{name: "ACleanedFreshRunLeavesNothing", test: testFreshClean},
		{name: "AFreshRunHasTheOutputOfOthersForgotten", test: testFreshOthers},
		{name: "AnOldAttemptEmptiesNothing", test: testFreshFenced},
	}
}

// litter leaves something in every place that a program may write to, some of it hard
// to remove.
const litter = `set -e
for dir in . "$HOME" "$TMPDIR"; do
	mkdir -p "$dir/a/b" "$dir/.hidden"
	echo secret >"$dir/a/b/file"; echo secret >"$dir/.env"; echo secret >"$dir/ name
with a break"
	ln -s / "$dir/root"; ln -s nowhere "$dir/dangling"; mkfifo "$dir/pipe"
	chmod 500 "$dir/a/b"; chmod 500 "$dir/a"; chmod 0 "$dir/.hidden"
done
echo left
(trap '' TERM HUP; exec sleep $STRAY) >/dev/null 2>&1 &`

// look tells all that there is in those places.
const look = `for dir in . "$HOME" "$TMPDIR"; do find "$dir" -mindepth 1; done; echo looked`

func (b *bench) freshScript(token uint64, script string) domain.RunSpec {
	spec := b.script(token, script)
	spec.Fresh = true
	spec.Env = append(spec.Env, "STRAY="+b.stray)
	return spec
}

func testFresh(b *bench) {
	out, exit := b.run(b.freshScript(1, litter))
	b.ended(exit, 0, "")
	if out.text() != "left\n" {
		b.Fatalf("printed %q", out.text())
	}
	out, exit = b.run(b.freshScript(2, look))
	b.ended(exit, 0, "")
	if got := out.text(); got != "looked\n" {
		b.Errorf("it found %q", got)
	}
}

func testFreshClean(b *bench) {
	spec := b.freshScript(1, litter)
	_, exit := b.run(spec)
	b.ended(exit, 0, "")
	for range 2 { // again is harmless
		if err := b.runtime.Clean(b.Context(), spec.RunRef); err != nil {
			b.Fatalf("Clean: %v", err)
		}
	}
	// One that is not fresh sees what is there.
	out, exit := b.run(b.script(2, look))
	b.ended(exit, 0, "")
	if got := out.text(); got != "looked\n" {
		b.Errorf("there is %q", got)
	}
}

func testFreshOthers(b *bench) {
	_, exit := b.run(b.freshScript(1, `echo secret`))
	b.ended(exit, 0, "")
	spec := b.freshScript(2, `true`)
	_, exit = b.run(spec)
	b.ended(exit, 0, "")
	refs, err := b.runtime.List(b.Context(), b.project)
	if err != nil || len(refs) != 1 || refs[0].ID != spec.ID {
		b.Errorf("kept are %+v, %v", refs, err)
	}
}

func testFreshFenced(b *bench) {
	old := b.freshScript(1, `true`)
	_, exit := b.run(old)
	b.ended(exit, 0, "")
	now := b.start(b.freshScript(2, `echo mine >file; echo written; while test -f file; do sleep 0.01; done; echo gone`))
	out, wait := b.follow(now)
	b.eventually("it wrote its file", func() bool { return out.text() == "written\n" })
	if err := b.runtime.Clean(b.Context(), old.RunRef); err != nil && !errors.Is(err, domain.ErrStaleToken) {
		b.Errorf("Clean: %v", err)
	}
	// A start that comes again finds the run, and leaves its files alone.
	again := b.freshScript(2, `true`)
	again.ID = now.ID
	if err := b.runtime.Start(b.Context(), again); err != nil {
		b.Errorf("Start again: %v", err)
	}
	if err := b.runtime.Cancel(b.Context(), now, 0); err != nil {
		b.Errorf("Cancel: %v", err)
	}
	if exit := wait(); strings.Contains(out.text(), "gone") {
		b.Errorf("its file went while it ran: %+v", exit)
	}
}
