package runtimetest

import (
	"errors"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func fenceCases() []testCase {
	return []testCase{
		{name: "ASecondStartFindsTheFirst", test: testStartTwice},
		{name: "AnOlderTokenIsRefused", test: testStaleToken},
		{name: "ANewerTokenEndsTheRunsOfOthers", test: testNewerToken},
		{name: "ANewerTokenStartsTheSameRunAnew", test: testSameRunNewerToken},
		{name: "AnAdoptedRunObeysItsNewOwnerOnly", test: testAdopt},
		{name: "AStartThatComesTooLateIsRefused", test: testAdoptBeforeStart},
		{name: "ARunThatIsNotThereIsNotFound", test: testNoRun},
	}
}

func testStartTwice(b *bench) {
	spec := b.script(5, `echo once >> log; cat log; sleep 0.2`)
	errs := make(chan error)
	for range 4 {
		go func() { errs <- b.runtime.Start(b.Context(), spec) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			b.Errorf("Start: %v", err)
		}
	}
	out, exit := b.attach(spec.RunRef, 0)
	b.ended(exit, 0, "")
	b.start(spec)
	again, _ := b.attach(spec.RunRef, 0)
	if out.text() != "once\n" || again.text() != "once\n" {
		b.Errorf("printed %q and then %q", out.text(), again.text())
	}
}

func testStaleToken(b *bench) {
	newer := b.start(b.script(7, `echo ready; sleep 600`))
	older := b.script(6, `echo older`)
	if err := b.runtime.Start(b.Context(), older); !errors.Is(err, domain.ErrStaleToken) {
		b.Errorf("Start = %v, want ErrStaleToken", err)
	}
	stale := newer
	stale.Token = 6
	for name, err := range map[string]error{
		"Cancel": b.runtime.Cancel(b.Context(), stale, 0),
		"Input":  b.runtime.Input(b.Context(), stale, nil, true),
		"Adopt":  b.runtime.Adopt(b.Context(), stale),
		"Clean":  b.runtime.Clean(b.Context(), stale),
	} {
		if !errors.Is(err, domain.ErrStaleToken) {
			b.Errorf("%s = %v, want ErrStaleToken", name, err)
		}
	}
	if len(b.processes()) == 0 {
		b.Error("the newer run was ended")
	}
}

func testNewerToken(b *bench) {
	older := b.start(b.stubborn(1))
	out, wait := b.follow(older)
	b.ready(out, "ready")
	newer := b.script(2, `echo hello`)
	newer.Env = []string{"OTHER=1"}
	b.start(newer)
	if pids := append(b.processes(), b.strays()...); len(pids) > 0 {
		b.Errorf("processes of the older run are left: %v", pids)
	}
	if exit := wait(); !exit.Cancelled {
		b.Errorf("exit of the older run = %+v", exit)
	}
	got, exit := b.attach(newer.RunRef, 0)
	b.ended(exit, 0, "")
	if got.text() != "hello\n" {
		b.Errorf("printed %q", got.text())
	}
}

func testSameRunNewerToken(b *bench) {
	spec := b.script(1, `echo first; sleep 600`)
	b.start(spec)
	spec.Token, spec.Argv = 2, []string{"sh", "-c", "echo second"}
	b.start(spec)
	out, exit := b.attach(spec.RunRef, 0)
	b.ended(exit, 0, "")
	if out.text() != "second\n" {
		b.Errorf("printed %q", out.text())
	}
}

func testAdopt(b *bench) {
	ref := b.start(b.script(1, `echo ready; sleep 600`))
	out, wait := b.follow(ref)
	b.ready(out, "ready")
	adopted := ref
	adopted.Token = 2
	for range 2 {
		if err := b.runtime.Adopt(b.Context(), adopted); err != nil {
			b.Fatalf("Adopt: %v", err)
		}
	}
	if err := b.runtime.Cancel(b.Context(), ref, 0); !errors.Is(err, domain.ErrStaleToken) {
		b.Errorf("Cancel by the earlier owner = %v, want ErrStaleToken", err)
	}
	if err := b.runtime.Start(b.Context(), b.script(1, `echo no`)); !errors.Is(err, domain.ErrStaleToken) {
		b.Errorf("Start by the earlier owner = %v, want ErrStaleToken", err)
	}
	if refs, err := b.runtime.List(b.Context(), b.project); err != nil || len(refs) != 1 || refs[0] != adopted {
		b.Errorf("List = %v, %v, want the adopted run", refs, err)
	}
	if err := b.runtime.Cancel(b.Context(), adopted, time.Second); err != nil {
		b.Errorf("Cancel by the new owner: %v", err)
	}
	b.ended(wait(), -1, "SIGTERM")
}

// testAdoptBeforeStart is the start of an attempt that died on its way: it comes
// after the next attempt looked for the run, and must find itself too late.
func testAdoptBeforeStart(b *bench) {
	late := b.script(1, `echo started; sleep 1000`)
	adopted := late.RunRef
	adopted.Token = 2
	if err := b.runtime.Adopt(b.Context(), adopted); !errors.Is(err, domain.ErrNoRun) {
		b.Fatalf("Adopt = %v, want ErrNoRun", err)
	}
	if err := b.runtime.Start(b.Context(), late); !errors.Is(err, domain.ErrStaleToken) {
		b.Errorf("Start of the earlier attempt = %v, want ErrStaleToken", err)
	}
	if refs, err := b.runtime.List(b.Context(), b.project); err != nil || len(refs) != 0 {
		b.Errorf("List = %v, %v, want no run", refs, err)
	}
}

func testNoRun(b *bench) {
	ref := b.ref(1)
	_, attachErr := b.runtime.Attach(b.Context(), ref, 0, func(domain.Frame) error { return nil })
	for name, err := range map[string]error{
		"Attach": attachErr,
		"Adopt":  b.runtime.Adopt(b.Context(), ref),
		"Input":  b.runtime.Input(b.Context(), ref, nil, false),
		"Cancel": b.runtime.Cancel(b.Context(), ref, 0),
	} {
		if !errors.Is(err, domain.ErrNoRun) {
			b.Errorf("%s = %v, want ErrNoRun", name, err)
		}
	}
}
