package runtimetest

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"
)

// bigOutput is the size of the output that has to arrive unharmed, in bytes.
const bigOutput = 50 << 20

func outputCases() []testCase {
	return []testCase{
		{name: "StreamsAreToldApartAndKeepTheirOrder", test: testStreams},
		{name: "BytesArriveAsTheyAre", test: testBytes},
		{name: "ALongLineArrivesWhole", test: testLongLine},
		{name: "FiftyMegabytesArriveUnharmed", test: testBig},
		{name: "EveryFrameIsAPlaceToAttachFrom", test: testOffsets},
		{name: "TwentyRunsSideBySideDoNotMix", test: testSideBySide},
	}
}

func testStreams(b *bench) {
	// A pause between the writes makes their order a fact.
	out, exit := b.run(b.script(1, `for i in 1 2 3 4 5; do echo out $i; sleep 0.02; echo err $i >&2; sleep 0.02; done`))
	b.ended(exit, 0, "")
	var stdout, stderr, both strings.Builder
	for i := 1; i <= 5; i++ {
		n := strconv.Itoa(i)
		stdout.WriteString("out " + n + "\n")
		stderr.WriteString("err " + n + "\n")
		both.WriteString("out " + n + "\nerr " + n + "\n")
	}
	for _, c := range [][2]string{
		{out.stdout.String(), stdout.String()}, {out.stderr.String(), stderr.String()}, {out.both.String(), both.String()},
	} {
		if diff := cmp.Diff(c[1], c[0]); diff != "" {
			b.Errorf("output (-want +got):\n%s", diff)
		}
	}
	for i, frame := range out.frames {
		if frame.Time.Before(exit.StartedAt) || frame.Time.After(exit.EndedAt.Add(patience)) {
			b.Errorf("frame %d is of %v, the run of %v to %v", i, frame.Time, exit.StartedAt, exit.EndedAt)
		}
	}
}

func testBytes(b *bench) {
	out, exit := b.run(b.script(1, `printf '\000\001\377\n\r\n\000no end'`))
	b.ended(exit, 0, "")
	if got, want := out.stdout.String(), "\x00\x01\xff\n\r\n\x00no end"; got != want {
		b.Errorf("output = %q, want %q", got, want)
	}
	out, exit = b.run(b.script(1, `exit 0`))
	b.ended(exit, 0, "")
	if len(out.frames) != 0 {
		b.Errorf("a silent program printed %d frames", len(out.frames))
	}
}

func testLongLine(b *bench) {
	out, exit := b.run(b.script(1, `head -c 100000 /dev/zero | tr '\000' x; echo; head -c 100000 /dev/zero | tr '\000' y >&2`))
	b.ended(exit, 0, "")
	if want := strings.Repeat("x", 100_000) + "\n"; out.stdout.String() != want {
		b.Errorf("stdout is %d bytes, want %d", out.stdout.Len(), len(want))
	}
	if want := strings.Repeat("y", 100_000); out.stderr.String() != want {
		b.Errorf("stderr is %d bytes, want %d", out.stderr.Len(), len(want))
	}
}

func testBig(b *bench) {
	out, exit := b.run(b.script(1, `seq 1 9000000 | head -c `+strconv.Itoa(bigOutput)))
	b.ended(exit, 0, "")
	want := make([]byte, 0, bigOutput+16)
	for i := int64(1); len(want) < bigOutput; i++ {
		want = append(strconv.AppendInt(want, i, 10), '\n')
	}
	if got, want := sha256.Sum256(out.stdout.Bytes()), sha256.Sum256(want[:bigOutput]); got != want {
		b.Errorf("stdout is %d bytes of sum %x, want %d of %x", out.stdout.Len(), got, bigOutput, want)
	}
}

func testOffsets(b *bench) {
	ref := b.start(b.script(1, `for i in 1 2 3 4; do echo out $i; echo err $i >&2; sleep 0.01; done; head -c 200000 /dev/zero`))
	all, exit := b.attach(ref, 0)
	b.ended(exit, 0, "")
	if len(all.frames) < 8 {
		b.Fatalf("%d frames, want 8 at least", len(all.frames))
	}
	for i, frame := range all.frames {
		rest, again := b.attach(ref, frame.Next)
		if diff := cmp.Diff(exit, again); diff != "" {
			b.Errorf("exit from frame %d (-want +got):\n%s", i, diff)
		}
		want := all.frames[i+1:]
		if diff := cmp.Diff(want, rest.frames, cmp.Comparer(bytes.Equal)); len(want)+len(rest.frames) > 0 && diff != "" {
			b.Errorf("frames from frame %d (-want +got):\n%s", i, diff)
		}
	}
	end := all.frames[len(all.frames)-1].Next
	for _, from := range []int64{-1, 1, end - 1, end + 1} {
		got := &printed{part: true}
		if _, err := b.runtime.Attach(b.Context(), ref, from, got.emit); err == nil && len(got.frames) > 0 {
			b.Errorf("Attach from %d, where no frame begins, returned %d frames", from, len(got.frames))
		}
	}
}

func testSideBySide(b *bench) {
	var all sync.WaitGroup
	for i := range 20 {
		runtime, project := b.fresh(b.T)
		one := &bench{T: b.T, runtime: runtime, project: project, tag: b.tag, fresh: b.fresh}
		name := "run " + strconv.Itoa(i)
		spec := one.script(1, `for i in 1 2 3 4 5 6 7 8 9 10; do echo `+name+` $i; sleep 0.01; done; exit `+strconv.Itoa(i))
		all.Go(func() {
			if err := runtime.Start(b.Context(), spec); err != nil {
				b.Errorf("Start: %v", err)
				return
			}
			out := &printed{}
			exit, err := runtime.Attach(b.Context(), spec.RunRef, 0, out.emit)
			if err != nil || !exit.Known || exit.Code != i {
				b.Errorf("%s: exit %+v, error %v", name, exit, err)
			}
			if n := strings.Count(out.text(), name+" "); n != 10 || strings.Count(out.text(), "\n") != 10 {
				b.Errorf("%s printed %q", name, out.text())
			}
		})
	}
	all.Wait()
}
