package runtimetest

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func endCases() []testCase {
	return []testCase{
		{name: "ExitCodesAndSignalsAreTold", test: testExitCodes},
		{name: "AProgramThatIsNotThereIsAStartError", test: testNotFound},
		{name: "AWorkingDirectoryOutsideTheWorkspaceIsRefused", test: testWorkdir},
		{name: "TheEnvironmentOfRdevDoesNotLeak", test: testEnvironment, alone: true},
		{name: "TheWorkspaceHoldsNothingOfRdev", test: testCleanWorkspace},
		{name: "WhatOutlivesTheProgramIsKilled", test: testLeftovers},
		{name: "ALeftoverThatHoldsTheOutputDoesNotHoldTheRun", test: testHeldOutput},
		{name: "RunsAreListedUntilTheyAreCleaned", test: testListClean},
	}
}

func testExitCodes(b *bench) {
	for _, code := range []int{0, 1, 2, 126, 255} {
		_, exit := b.run(b.script(1, `exit `+strconv.Itoa(code)))
		b.ended(exit, code, "")
	}
	for number, name := range map[int]string{1: "SIGHUP", 6: "SIGABRT", 9: "SIGKILL", 15: "SIGTERM"} {
		_, exit := b.run(b.script(1, `kill -`+strconv.Itoa(number)+` $$; sleep 60`))
		b.ended(exit, -1, name)
		if exit.Cancelled {
			b.Error("nobody cancelled it")
		}
	}
}

func testNotFound(b *bench) {
	for _, argv := range [][]string{{"no-such-program"}, {"./no-such-program"}, {"/"}, {""}, {}} {
		spec := b.script(1, "")
		spec.Argv = argv
		_, exit := b.run(spec)
		if !exit.Known || exit.StartError == "" {
			b.Errorf("%q: exit = %+v, want a start error", argv, exit)
		}
	}
}

func testWorkdir(b *bench) {
	_, exit := b.run(b.script(1, `mkdir -p a/b && ln -s /etc out && ln -s a/b in`))
	b.ended(exit, 0, "")
	for dir, allowed := range map[string]bool{
		"": true, ".": true, "a/b": true, "a/../a": true, "in": true,
		"..": false, "a/../..": false, "/etc": false, "out": false, "none": false,
	} {
		spec := b.script(1, `pwd -P`)
		spec.Dir = dir
		out, exit := b.run(spec)
		if allowed != (exit.StartError == "") || !exit.Known {
			b.Errorf("working directory %q: exit %+v", dir, exit)
		}
		if allowed && !strings.Contains(out.text(), filepath.Base(b.project.Workspace)) {
			b.Errorf("working directory %q is %q", dir, out.text())
		}
	}
}

func testEnvironment(b *bench) {
	b.Setenv("RDEV_TEST_SECRET", "hunter2")
	spec := b.script(1, `env; cat /proc/$PPID/environ 2>/dev/null | tr '\000' '\n'`)
	spec.Env = append(spec.Env, "MINE=a b=c")
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	lines := strings.Split(out.text(), "\n")
	if strings.Contains(out.text(), "hunter2") {
		b.Error("a secret of rdev's environment leaked")
	}
	if !slices.Contains(lines, "MINE=a b=c") {
		b.Errorf("its own variable is missing from %q", lines)
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+"=/") }) {
			b.Errorf("%s is missing from %q", name, lines)
		}
	}
	_, exit = b.run(b.script(1, `touch "$HOME/a" "$TMPDIR/b" && test -O "$HOME/a"`))
	b.ended(exit, 0, "")
}

func testCleanWorkspace(b *bench) {
	_, exit := b.run(b.script(1, `echo hello > "$HOME/x"; test -z "$(ls -A .)"`))
	b.ended(exit, 0, "")
}

func testLeftovers(b *bench) {
	out, exit := b.run(b.script(1, `setsid sleep 600 >/dev/null 2>&1 & nohup sleep 600 >/dev/null 2>&1 & (sleep 600 >/dev/null 2>&1 &) ; while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done; echo done`))
	b.ended(exit, 0, "")
	b.noProcesses()
	if out.text() != "done\n" || exit.Leftovers < 3 || exit.Cancelled {
		b.Errorf("printed %q, exit %+v, want 3 leftovers", out.text(), exit)
	}
}

func testHeldOutput(b *bench) {
	began := time.Now()
	out, exit := b.run(b.script(1, `(sleep 0.3; echo late; sleep 600) & echo early; exit 7`))
	b.ended(exit, 7, "")
	b.noProcesses()
	if out.text() != "early\nlate\n" {
		b.Errorf("printed %q", out.text())
	}
	if took := time.Since(began); took > patience/2 {
		b.Errorf("it took %v", took)
	}
}

func testListClean(b *bench) {
	first, second := b.script(1, `exit 3`), b.script(1, `sleep 600`)
	_, _ = b.run(first)
	b.start(second)
	refs, err := b.runtime.List(b.Context(), b.project)
	if err != nil || len(refs) != 2 || !slices.Contains(refs, first.RunRef) || !slices.Contains(refs, second.RunRef) {
		b.Fatalf("List = %v, %v, want both runs", refs, err)
	}
	if err := b.runtime.Clean(b.Context(), second.RunRef); err == nil {
		b.Error("Clean removed a run that lives")
	}
	for _, ref := range []domain.RunRef{first.RunRef, second.RunRef} {
		if err := b.runtime.Cancel(b.Context(), ref, 0); err != nil {
			b.Errorf("Cancel: %v", err)
		}
		for range 2 {
			if err := b.runtime.Clean(b.Context(), ref); err != nil {
				b.Errorf("Clean: %v", err)
			}
		}
	}
	if refs, err := b.runtime.List(b.Context(), b.project); err != nil || len(refs) != 0 {
		b.Errorf("List = %v, %v, want none", refs, err)
	}
}
