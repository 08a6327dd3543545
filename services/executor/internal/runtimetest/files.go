package runtimetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func filesCases() []testCase {
	return []testCase{
		{name: "WhatIsPlacedIsThereForOneRunAlone", test: testPlaced},
		{name: "WhatIsPlacedForARunThatNeverStartsIsCleaned", test: testPlacedInVain},
		{name: "NothingIsPlacedOfWhatLeadsOut", test: testPlacedOutside},
		{name: "WhatCannotBeReadIsNotPlaced", test: testUnreadable},
		{name: "FilesAreCollectedByteForByte", test: testCollected},
		{name: "WhatIsOutsideIsNotCollected", test: testCollectedOutside},
		{name: "WhatIsMissingIsNamed", test: testMissing},
		{name: "ACacheComesBack", test: testCache},
		{name: "AnOlderTokenMovesNoFiles", test: testFilesFenced},
		{name: "APlaceThatIsCutIsMadeAgain", test: testCutPlace},
		{name: "ACollectThatIsCutIsMadeAgain", test: testCutCollect},
		{name: "WhoGivesUpIsNotWaitedFor", test: testGivenUp},
	}
}

const mebibyte = 1 << 20

// text opens a text again and again.
func text(content string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
}

// packed is a tar file; a name that ends with @ is a symbolic link to the content.
func packed(content map[string]string) string {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content[name])), Mode: 0o644}
		if of, ok := strings.CutSuffix(name, "@"); ok {
			h = &tar.Header{Typeflag: tar.TypeSymlink, Name: of, Linkname: content[name]}
		}
		_ = writer.WriteHeader(h) // a buffer takes all
		_, _ = io.WriteString(writer, content[name])
	}
	_ = writer.Close()
	return out.String()
}

func (b *bench) prepare(ref domain.RunRef) {
	b.Helper()
	if err := b.runtime.Prepare(b.Context(), ref); err != nil {
		b.Fatalf("Prepare: %v", err)
	}
}

func (b *bench) place(ref domain.RunRef, at domain.Placing, content string) {
	b.Helper()
	if err := b.runtime.Place(b.Context(), ref, at, text(content)); err != nil {
		b.Fatalf("Place at %s: %v", at.At, err)
	}
}

func (b *bench) brokenFiles(what string, err error) {
	b.Helper()
	if _, ok := errors.AsType[*domain.FilesError](err); !ok {
		b.Errorf("%s: %v, want a FilesError", what, err)
	}
}

// file and tree are placings.
func file(at string) domain.Placing {
	return domain.Placing{At: at, Form: domain.FormFile, Limit: 100 * mebibyte}
}

func tree(at string) domain.Placing {
	return domain.Placing{At: at, Form: domain.FormTar, Limit: 100 * mebibyte}
}

func testPlaced(b *bench) {
	_, exit := b.run(b.freshScript(1, litter))
	b.ended(exit, 0, "")
	spec := b.freshScript(2, `find . "$HOME" "$TMPDIR" -mindepth 1 -not -type d | sort | sed "s,^$HOME,HOME,"; cat "$HOME/inputs/build/ü n" "$HOME/go/a/b"; "$HOME/inputs/build/run"; sha256sum <"$HOME/big"`)
	big := strings.Repeat("0123456789", mebibyte/2) + "!"
	for range 2 { // each may come again
		b.prepare(spec.RunRef)
		b.place(spec.RunRef, tree("go"), packed(map[string]string{"a/b": "cached\n", "link@": "/etc/passwd"}))
		b.place(spec.RunRef, file("inputs/build/ü n"), "placed\n")
		b.place(spec.RunRef, domain.Placing{At: "inputs/build/run", Form: domain.FormFile, Exec: true, Limit: mebibyte}, "#!/bin/sh\necho ran\n")
		b.place(spec.RunRef, file("big"), big)
	}
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	sum := sha256.Sum256([]byte(big))
	want := "HOME/big\nHOME/go/a/b\nHOME/go/link\nHOME/inputs/build/run\nHOME/inputs/build/ü n\nplaced\ncached\nran\n" + hex.EncodeToString(sum[:]) + "  -\n"
	if got := out.text(); got != want {
		b.Errorf("it printed\n%s\nwant\n%s", got, want)
	}
	if err := b.runtime.Place(b.Context(), spec.RunRef, file("late"), text("late")); err == nil {
		b.Error("a file was placed where a run has started")
	}
	if err := b.runtime.Clean(b.Context(), spec.RunRef); err != nil {
		b.Fatalf("Clean: %v", err)
	}
	out, exit = b.run(b.script(3, look))
	b.ended(exit, 0, "")
	if got := out.text(); got != "looked\n" {
		b.Errorf("there is %q", got)
	}
}

func testPlacedInVain(b *bench) {
	spec := b.freshScript(1, `true`)
	b.prepare(spec.RunRef)
	b.place(spec.RunRef, file("inputs/secret"), "secret")
	for range 2 {
		if err := b.runtime.Clean(b.Context(), spec.RunRef); err != nil {
			b.Fatalf("Clean: %v", err)
		}
	}
	if err := b.runtime.Place(b.Context(), spec.RunRef, file("late"), text("late")); err == nil {
		b.Error("a file was placed where nothing is prepared")
	}
	out, exit := b.run(b.script(2, look))
	b.ended(exit, 0, "")
	if got := out.text(); got != "looked\n" {
		b.Errorf("there is %q", got)
	}
	// The next fresh run needs no preparation, and finds nothing of another's.
	other := b.freshScript(3, `true`)
	b.prepare(other.RunRef)
	b.place(other.RunRef, file("secret"), "secret")
	out, exit = b.run(b.freshScript(4, look))
	b.ended(exit, 0, "")
	if got := out.text(); got != "looked\n" {
		b.Errorf("it found %q", got)
	}
}

func testPlacedOutside(b *bench) {
	spec := b.freshScript(1, look)
	b.prepare(spec.RunRef)
	for what, content := range map[string]map[string]string{
		"above":                  {"good": "x", "../x": "x"},
		"absolute":               {"good": "x", "/tmp/x": "x"},
		"through a link":         {"a@": "/tmp", "a/x": "x", "good": "x"},
		"through a link to here": {"a@": ".", "a/x": "x", "good": "x"},
	} {
		b.brokenFiles(what, b.runtime.Place(b.Context(), spec.RunRef, tree("."), text(packed(content))))
	}
	b.brokenFiles("a place above", b.runtime.Place(b.Context(), spec.RunRef, file("../x"), text("x")))
	b.brokenFiles("too much", b.runtime.Place(b.Context(), spec.RunRef, domain.Placing{At: "x", Form: domain.FormFile, Limit: 10}, text("more than that")))
	// A link that is there leads nowhere, either.
	b.place(spec.RunRef, tree("."), packed(map[string]string{"inputs@": b.project.Workspace}))
	b.place(spec.RunRef, file("inputs/x"), "x")
	spec.Argv[2] = `find . "$HOME" -mindepth 1 -not -type d | sed "s,^$HOME,HOME,"`
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	if got := out.text(); got != "HOME/inputs/x\n" {
		b.Errorf("there is %q", got)
	}
}

// failing ends with an error in the midst.
type failing struct {
	io.Reader

	err error
}

func (f failing) Read(data []byte) (int, error) {
	n, err := f.Reader.Read(data)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

func (failing) Close() error { return nil }

func testUnreadable(b *bench) {
	spec := b.freshScript(1, look)
	b.prepare(spec.RunRef)
	mine := errors.New("the store is away")
	opened := 0
	err := b.runtime.Place(b.Context(), spec.RunRef, file("x"), func(context.Context) (io.ReadCloser, error) { opened++; return nil, mine })
	if !errors.Is(err, mine) || opened != 1 {
		b.Errorf("opened %d times: %v", opened, err)
	}
	content := packed(map[string]string{"a": strings.Repeat("a", mebibyte), "b": strings.Repeat("b", mebibyte)})
	for _, part := range []string{"", content[:1024], content[:mebibyte+mebibyte/2], content} {
		err := b.runtime.Place(b.Context(), spec.RunRef, tree("."), func(context.Context) (io.ReadCloser, error) {
			return failing{strings.NewReader(part), mine}, nil
		})
		if !errors.Is(err, mine) {
			b.Errorf("after %d bytes of %d: %v", len(part), len(content), err)
		}
	}
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	if got := out.text(); got != "looked\n" {
		b.Errorf("there is %q", got)
	}
}

// collected is what was taken of artifacts.
type collected struct {
	files map[string]domain.Kept
	sums  map[string]string
	data  map[string][]byte
}

func (b *bench) collect(ref domain.RunRef, patterns ...string) (collected, error) {
	got := collected{map[string]domain.Kept{}, map[string]string{}, map[string][]byte{}}
	err := b.runtime.Artifacts(b.Context(), ref, patterns, func(kept domain.Kept, body io.Reader) error {
		data, err := io.ReadAll(body)
		sum := sha256.Sum256(data)
		got.files[kept.Path], got.sums[kept.Path], got.data[kept.Path] = kept, hex.EncodeToString(sum[:]), data
		if err == nil && int64(len(data)) != kept.Size {
			err = fmt.Errorf("%s has %d bytes, not %d", kept.Path, len(data), kept.Size)
		}
		return err
	})
	return got, err
}

func testCollected(b *bench) {
	spec := b.freshScript(1, `set -e
mkdir -p bin dist/a/b 'with space'
: >empty; echo shop >bin/shop; chmod +x bin/shop; head -c 5242880 /dev/urandom >random
echo ü >'with space/ü
'; echo deep >dist/a/b/deep; ln -s a/b dist/link; mkfifo dist/pipe; cp random dist/random
sha256sum <random`)
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	got, err := b.collect(spec.RunRef, "dist", "bin/*", "random", "empty", "with space/*")
	if err != nil {
		b.Fatalf("Artifacts: %v", err)
	}
	for name, want := range map[string]domain.Kept{
		"bin/shop": {Size: 5, Exec: true}, "empty": {}, "random": {Size: 5 * mebibyte}, "with space/ü\n": {Size: 3},
		"dist.tar": {Size: int64(len(got.data["dist.tar"])), Dir: true},
	} {
		if want.Path = name; got.files[name] != want {
			b.Errorf("%q is %+v, want %+v", name, got.files[name], want)
		}
	}
	if len(got.files) != 5 || got.sums["random"]+"  -\n" != out.text() || string(got.data["bin/shop"]) != "shop\n" || string(got.data["with space/ü\n"]) != "ü\n" {
		b.Errorf("there are %v, with digests %v; it printed %q", got.files, got.sums, out.text())
	}
	// What was a directory can be one again.
	next := b.freshScript(2, `cd "$HOME/inputs/dist" && cat a/b/deep link/deep && sha256sum <random && ls`)
	b.prepare(next.RunRef)
	b.place(next.RunRef, tree("inputs/dist"), string(got.data["dist.tar"]))
	again, exit := b.run(next)
	b.ended(exit, 0, "")
	if want := "deep\ndeep\n" + out.text() + "a\nlink\nrandom\n"; again.text() != want {
		b.Errorf("it printed %q, want %q", again.text(), want)
	}
}

func testCollectedOutside(b *bench) {
	spec := b.freshScript(1, `ln -s /etc/passwd out; ln -s / dir; mkdir in; ln -s / in/dir; ln -s /etc/passwd in/out; ln -s ../../../../../../../../etc/passwd in/up; echo x >in/x`)
	_, exit := b.run(spec)
	b.ended(exit, 0, "")
	for _, pattern := range []string{"out", "dir", "dir/etc/passwd", "dir/*", "in/dir/etc/passwd", "*/out", "*/etc", "/etc/passwd", "../home", "in/up"} {
		got, err := b.collect(spec.RunRef, pattern)
		b.brokenFiles(pattern, err)
		if len(got.files) > 0 {
			b.Errorf("%s: %v", pattern, got.files)
		}
	}
	got, err := b.collect(spec.RunRef, "*")
	if err != nil || len(got.files) != 1 || bytes.Contains(got.data["in.tar"], []byte("root:")) {
		b.Errorf("of all: %v, %v", got.files, err)
	}
}

func testMissing(b *bench) {
	spec := b.freshScript(1, `touch there`)
	_, exit := b.run(spec)
	b.ended(exit, 0, "")
	_, err := b.collect(spec.RunRef, "there", "bin/shop")
	if broken, ok := errors.AsType[*domain.FilesError](err); !ok || broken.Reason != `artifact "bin/shop" is not there` {
		b.Errorf("Artifacts: %v", err)
	}
	mine := errors.New("the store is full")
	taken := 0
	err = b.runtime.Artifacts(b.Context(), spec.RunRef, []string{"there"}, func(domain.Kept, io.Reader) error { taken++; return mine })
	if !errors.Is(err, mine) || taken != 1 {
		b.Errorf("taken %d times: %v", taken, err)
	}
	_, err = b.collect(b.ref(1), "there")
	if !errors.Is(err, domain.ErrNoRun) {
		b.Errorf("of a run that is not there: %v", err)
	}
}

func testCache(b *bench) {
	spec := b.freshScript(1, `cd "$HOME" && mkdir -p go/pkg/mod/x .npm && echo cached >go/pkg/mod/x/y && chmod 555 go/pkg/mod/x && chmod 640 go/pkg/mod/x/y && ln -s ../nowhere .npm/l && ln -s /etc .npm/etc && echo no >no`)
	_, exit := b.run(spec)
	b.ended(exit, 0, "")
	var cache []byte
	err := b.runtime.Cache(b.Context(), spec.RunRef, []string{"go/pkg/mod", ".npm", "missing"}, func(body io.Reader) (err error) {
		cache, err = io.ReadAll(body)
		return err
	})
	if err != nil {
		b.Fatalf("Cache: %v", err)
	}
	next := b.freshScript(2, `cd "$HOME" && find . -mindepth 1 -printf '%p %m %l\n' | sort | grep -v ' 777 $'; cat go/pkg/mod/x/y`)
	b.prepare(next.RunRef)
	at := domain.Placing{At: ".", Form: domain.FormTarZstd, Only: []string{"go/pkg/mod", ".npm/etc"}, Limit: mebibyte}
	b.brokenFiles("a part of a cache", b.runtime.Place(b.Context(), next.RunRef, at, text(string(cache[:len(cache)-1]))))
	for range 2 {
		b.place(next.RunRef, at, string(cache))
	}
	out, exit := b.run(next)
	b.ended(exit, 0, "")
	got := out.text()
	for _, line := range []string{"./.npm/etc 777 /etc\n", "./go/pkg/mod/x 555 \n", "./go/pkg/mod/x/y 640 \n", "cached\n"} {
		if !strings.Contains(got, line) {
			b.Errorf("%q is not in %q", line, got)
		}
	}
	if strings.Contains(got, "./no ") || strings.Contains(got, "./.npm/l ") {
		b.Errorf("there is %q", got)
	}
}

func testFilesFenced(b *bench) {
	old := b.freshScript(1, `touch file`)
	b.prepare(old.RunRef)
	newer := b.freshScript(2, `touch file; exec sleep 600`)
	b.prepare(newer.RunRef)
	stale := newer.RunRef
	stale.Token = 1
	nothing := func(io.Reader) error { return nil }
	refused := func(when string) {
		b.Helper()
		for name, err := range map[string]error{
			"Prepare": b.runtime.Prepare(b.Context(), old.RunRef),
			"Place":   b.runtime.Place(b.Context(), old.RunRef, file("x"), text("x")),
		} {
			if !errors.Is(err, domain.ErrStaleToken) {
				b.Errorf("%s, %s: %v, want ErrStaleToken", when, name, err)
			}
		}
	}
	refused("prepared")
	b.start(newer)
	refused("started")
	if err := b.runtime.Cache(b.Context(), newer.RunRef, []string{"x"}, nothing); err == nil {
		b.Error("a cache was taken of a run that lives")
	}
	if err := b.runtime.Cancel(b.Context(), newer.RunRef, 0); err != nil {
		b.Fatalf("Cancel: %v", err)
	}
	_, artifactsErr := b.collect(stale, "file")
	for name, err := range map[string]error{"Artifacts": artifactsErr, "Cache": b.runtime.Cache(b.Context(), stale, []string{"x"}, nothing)} {
		if !errors.Is(err, domain.ErrStaleToken) {
			b.Errorf("ended, %s: %v, want ErrStaleToken", name, err)
		}
	}
}

// cutting is a stream in whose midst the connection is cut, the first few times.
type cutting struct {
	io.Reader

	at   int64
	read int64
	cut  func()
}

func (c *cutting) Read(data []byte) (int, error) {
	n, err := c.Reader.Read(data)
	if before := c.read; before < c.at && before+int64(n) >= c.at {
		c.cut()
	}
	c.read += int64(n)
	return n, err
}

func (*cutting) Close() error { return nil }

func testCutPlace(b *bench) {
	spec := b.freshScript(1, `sha256sum <"$HOME/big"; ls -A "$HOME"`)
	b.prepare(spec.RunRef)
	big := strings.Repeat("0123456789abcdef", mebibyte/2)
	var cuts atomic.Int64 // also seen by what reads the stream
	tries := 0
	err := b.runtime.Place(b.Context(), spec.RunRef, file("big"), func(context.Context) (io.ReadCloser, error) {
		tries++
		return &cutting{Reader: strings.NewReader(big), at: int64(tries) * 2 * mebibyte, cut: func() {
			if tries <= 3 && b.killReader(spec.RunRef) {
				cuts.Add(1)
			}
		}}, nil
	})
	if err != nil {
		b.Fatalf("Place: %v", err)
	}
	if n := cuts.Load(); n == 0 || tries != int(n)+1 {
		b.Errorf("%d cuts, %d tries", n, tries)
	}
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	sum := sha256.Sum256([]byte(big))
	if want := hex.EncodeToString(sum[:]) + "  -\nbig\n"; out.text() != want {
		b.Errorf("it printed %q, want %q", out.text(), want)
	}
}

func testCutCollect(b *bench) {
	spec := b.freshScript(1, `head -c 8388608 /dev/urandom >random; echo small >small; sha256sum <random`)
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	tries, cuts, sum := 0, 0, ""
	err := b.runtime.Artifacts(b.Context(), spec.RunRef, []string{"random", "small"}, func(kept domain.Kept, body io.Reader) error {
		if kept.Path == "small" {
			return nil
		}
		tries++
		hash := sha256.New()
		_, err := io.Copy(hash, &cutting{Reader: body, at: int64(tries) * 2 * mebibyte, cut: func() {
			if tries <= 3 && b.killReader(spec.RunRef) {
				cuts++
			}
		}})
		sum = hex.EncodeToString(hash.Sum(nil))
		return err
	})
	if err != nil {
		b.Fatalf("Artifacts: %v", err)
	}
	if cuts == 0 || tries != cuts+1 || sum+"  -\n" != out.text() {
		b.Errorf("%d cuts, %d tries, digest %s, want %s", cuts, tries, sum, out.text())
	}
}

func testGivenUp(b *bench) {
	spec := b.freshScript(1, `head -c 8388608 /dev/zero >zero`)
	b.prepare(spec.RunRef)
	ctx, giveUp := context.WithCancel(b.Context())
	err := b.runtime.Place(ctx, spec.RunRef, file("x"), func(context.Context) (io.ReadCloser, error) {
		return &cutting{Reader: strings.NewReader(strings.Repeat("x", 8*mebibyte)), at: mebibyte, cut: giveUp}, nil
	})
	if !errors.Is(err, context.Canceled) {
		b.Errorf("Place: %v", err)
	}
	out, exit := b.run(spec)
	b.ended(exit, 0, "")
	if out.text() != "" {
		b.Errorf("it printed %q", out.text())
	}
	ctx, giveUp = context.WithCancel(b.Context())
	err = b.runtime.Artifacts(ctx, spec.RunRef, []string{"zero"}, func(_ domain.Kept, body io.Reader) error {
		_, err := io.Copy(io.Discard, &cutting{Reader: body, at: mebibyte, cut: giveUp})
		return err
	})
	if !errors.Is(err, context.Canceled) {
		b.Errorf("Artifacts: %v", err)
	}
	if err := b.runtime.Clean(b.Context(), spec.RunRef); err != nil {
		b.Errorf("Clean: %v", err)
	}
}
