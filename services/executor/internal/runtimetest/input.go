package runtimetest

import (
	"errors"
	"strings"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func inputCases() []testCase {
	return []testCase{
		{name: "InputIsReadToItsEnd", test: testStdin},
		{name: "InputCanFollowLater", test: testLaterInput},
		{name: "InputThatNobodyReadsHoldsNobodyUp", test: testUnreadInput},
	}
}

func testStdin(b *bench) {
	out, exit := b.run(b.script(1, `cat; echo end`))
	b.ended(exit, 0, "")
	if out.text() != "end\n" {
		b.Errorf("printed %q", out.text())
	}
	spec := b.script(1, `cat; echo end`)
	spec.Stdin = []byte(strings.Repeat("a\x00b\n", 100_000))
	out, exit = b.run(spec)
	b.ended(exit, 0, "")
	if want := string(spec.Stdin) + "end\n"; out.text() != want {
		b.Errorf("printed %d bytes, want %d", len(out.text()), len(want))
	}
	if err := b.runtime.Input(b.Context(), spec.RunRef, []byte("x"), false); !errors.Is(err, domain.ErrInputClosed) {
		b.Errorf("Input after the end = %v, want ErrInputClosed", err)
	}
}

func testLaterInput(b *bench) {
	spec := b.script(1, `while read line; do echo got $line; done; echo end`)
	spec.Stdin, spec.KeepStdin = []byte("one\n"), true
	ref := b.start(spec)
	out, wait := b.follow(ref)
	b.ready(out, "got one\n")
	if err := b.runtime.Input(b.Context(), ref, []byte("two\nthr"), false); err != nil {
		b.Fatalf("Input: %v", err)
	}
	b.ready(out, "got two\n")
	if err := b.runtime.Input(b.Context(), ref, []byte("ee\n"), true); err != nil {
		b.Fatalf("Input: %v", err)
	}
	b.ended(wait(), 0, "")
	if out.text() != "got one\ngot two\ngot three\nend\n" {
		b.Errorf("printed %q", out.text())
	}
}

func testUnreadInput(b *bench) {
	spec := b.script(1, `trap 'echo end; exit 0' TERM; echo ready; while :; do sleep 0.01; done`)
	spec.Stdin, spec.KeepStdin = []byte(strings.Repeat("x", 1<<20)), true
	ref := b.start(spec)
	out, wait := b.follow(ref)
	b.ready(out, "ready")
	if err := b.runtime.Input(b.Context(), ref, []byte(strings.Repeat("y", 1<<20)), false); err != nil {
		b.Errorf("Input: %v", err)
	}
	if err := b.runtime.Cancel(b.Context(), ref, patience); err != nil {
		b.Errorf("Cancel: %v", err)
	}
	b.ended(wait(), 0, "")
	if out.stdout.String() != "ready\nend\n" {
		b.Errorf("printed %q", out.text())
	}
}
