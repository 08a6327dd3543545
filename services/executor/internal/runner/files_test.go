package runner_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner"
	"github.com/orchard9/rdev/services/executor/internal/runner/files"
	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// depot is a state directory beside a home, and the workspace of runs there.
type depot struct {
	*testing.T
	root, home, workspace string
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	dir := t.TempDir()
	d := &depot{t, filepath.Join(dir, "state"), filepath.Join(dir, "home"), filepath.Join(dir, "workspace")}
	for _, made := range []string{d.home, d.workspace} {
		if err := os.Mkdir(made, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// do carries out a subcommand and tells its fault.
func (d *depot) do(stdin io.Reader, command, run string, token int, more ...string) wire.Fault {
	d.Helper()
	args := append([]string{command, "-root", d.root, "-run", run, "-token", strconv.Itoa(token)}, more...)
	var out bytes.Buffer
	runner.Main(d.Context(), args, stdin, &out, &out)
	var reply wire.Reply
	if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
		d.Fatalf("%s: %q: %v", command, out.String(), err)
	}
	return reply.Fault
}

func (d *depot) prepare(run string, token int) wire.Fault {
	d.Helper()
	return d.do(nil, "prepare", run, token, "-make", d.home, "-empty", d.home, "-empty", d.workspace)
}

// place puts a file into the home.
func (d *depot) place(run string, token int, name string) wire.Fault {
	d.Helper()
	var in bytes.Buffer
	writer := wire.NewWriter(&in)
	if _, err := io.WriteString(writer, name); err != nil {
		d.Fatal(err)
	}
	if err := writer.End(); err != nil {
		d.Fatal(err)
	}
	return d.do(&in, "place", run, token, "-dir", d.home, "-at", name, "-form", "file", "-limit", "100")
}

// start starts a run that writes down what it finds in its home; it needs a
// process of its own, the test's.
func (d *depot) start(run string, token int) string {
	d.Helper()
	spec, err := json.Marshal(wire.Spec{
		Argv: []string{"/bin/sh", "-c", "ls -A " + d.home}, Workspace: d.workspace, Env: []string{"PATH=/usr/bin:/bin"}, Empty: []string{d.home, d.workspace},
	})
	if err != nil {
		d.Fatal(err)
	}
	b := &bench{T: d.T, root: d.root}
	out := b.call("", string(spec), "start", "-root", d.root, "-run", run, "-token", strconv.Itoa(token))
	if string(out) != "{}\n" && string(out) != `{"existing":true}`+"\n" {
		return string(out)
	}
	reader := wire.NewReader(bytes.NewReader(b.call("", "", "attach", "-root", d.root, "-run", run, "-token", strconv.Itoa(token))), 0)
	text := ""
	for {
		frame, end, err := reader.Next()
		if err != nil || end != nil {
			return text
		}
		text += string(frame.Data)
	}
}

func (d *depot) want(what string, got, want wire.Fault) {
	d.Helper()
	if got != want {
		d.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestAPreparedRunFindsWhatWasPlaced(t *testing.T) {
	d := newDepot(t)
	if err := os.WriteFile(filepath.Join(d.home, "litter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.want("place before prepare", d.place("a", 5, "early"), wire.FaultNotPrepared)
	d.want("prepare", d.prepare("a", 5), "")
	d.want("place", d.place("a", 5, "zero"), "")
	d.want("place", d.place("a", 5, "one"), "")
	d.want("prepare again", d.prepare("a", 5), "")
	d.want("place again", d.place("a", 5, "one"), "")
	d.want("place more", d.place("a", 5, "two"), "")
	d.want("place for another run", d.place("b", 5, "three"), wire.FaultNotPrepared)
	for range 2 { // the second finds the first
		if got := d.start("a", 5); got != "one\ntwo\nzero\n" {
			t.Errorf("the run found %q", got)
		}
	}
	d.want("place after start", d.place("a", 5, "late"), wire.FaultNotPrepared)
	d.want("prepare after start", d.prepare("a", 5), "")
	d.want("clean", d.do(nil, "clean", "a", 5, "-empty", d.home), "")
	if left, err := os.ReadDir(d.home); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

func TestAStartWithoutPrepareEmptiesItself(t *testing.T) {
	d := newDepot(t)
	d.want("prepare", d.prepare("a", 1), "")
	d.want("place", d.place("a", 1, "of-a"), "")
	if got := d.start("b", 2); got != "" {
		t.Errorf("another run found %q", got)
	}
	d.want("place for one that was replaced", d.place("a", 1, "late"), wire.FaultStaleToken)
}

func TestANewerTokenBeginsAnew(t *testing.T) {
	for name, before := range map[string]func(d *depot){
		"after prepare": func(*depot) {},
		"after place":   func(d *depot) { d.want("place", d.place("a", 1, "old"), "") },
		"after start": func(d *depot) {
			d.want("place", d.place("a", 1, "old"), "")
			if got := d.start("a", 1); got != "old\n" {
				d.Errorf("the run found %q", got)
			}
		},
		"in the middle of a place": func(d *depot) {
			d.want("place", d.place("a", 1, "old"), "")
			var in bytes.Buffer
			if _, err := wire.NewWriter(&in).Write(make([]byte, wire.MaxPayload)); err != nil {
				d.Fatal(err)
			}
			d.want("a place that is cut", d.do(&in, "place", "a", 1, "-dir", d.home, "-at", "cut", "-form", "file", "-limit", "1000000"), wire.FaultFiles)
			if left, err := os.ReadDir(d.home); err != nil || len(left) != 1 {
				d.Errorf("there is %v, %v", left, err)
			}
		},
		"when the token was taken and nothing else": func(d *depot) {
			root, err := store.Open(d.root)
			if err == nil {
				err = root.SetToken(2)
			}
			if err != nil {
				d.Fatal(err)
			}
		},
		"when files were on their way": func(d *depot) {
			if err := os.MkdirAll(filepath.Join(d.root, "incoming-1", "go"), 0o700); err != nil {
				d.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t)
			d.want("prepare", d.prepare("a", 1), "")
			before(d)
			d.want("prepare", d.prepare("a", 2), "")
			d.want("place of the one before", d.place("a", 1, "late"), wire.FaultStaleToken)
			d.want("prepare of the one before", d.prepare("a", 1), wire.FaultStaleToken)
			d.want("place", d.place("a", 2, "new"), "")
			if entries, err := os.ReadDir(d.root); err != nil || strings.Contains(fmt.Sprint(entries), "incoming-") {
				t.Errorf("kept is %v, %v", entries, err)
			}
			if got := d.start("a", 2); got != "new\n" {
				t.Errorf("the run found %q", got)
			}
		})
	}
}

func TestWhatWasPreparedForARunThatNeverStartedIsCleaned(t *testing.T) {
	d := newDepot(t)
	d.want("prepare", d.prepare("a", 1), "")
	d.want("place", d.place("a", 1, "secret"), "")
	d.want("clean of another run", d.do(nil, "clean", "b", 1, "-empty", d.home), "")
	if left, err := os.ReadDir(d.home); err != nil || len(left) != 1 {
		t.Errorf("after the clean of another run there is %v, %v", left, err)
	}
	d.want("adopt by the next attempt", d.do(nil, "adopt", "a", 2), wire.FaultNoRun)
	d.want("clean by the one before", d.do(nil, "clean", "a", 1, "-empty", d.home), wire.FaultStaleToken)
	d.want("place by the one before", d.place("a", 1, "late"), wire.FaultStaleToken)
	d.want("place by the next without prepare", d.place("a", 2, "early"), wire.FaultNotPrepared)
	d.want("clean", d.do(nil, "clean", "a", 2, "-empty", d.home), "")
	if left, err := os.ReadDir(d.home); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

func TestFilesThatArriveTooLateAreNotPlaced(t *testing.T) {
	for name, meanwhile := range map[string]struct {
		does func(d *depot)
		want wire.Fault
	}{
		"a newer attempt": {func(d *depot) { d.want("prepare", d.prepare("a", 2), "") }, wire.FaultStaleToken},
		"a start":         {func(d *depot) { d.start("a", 1) }, wire.FaultNotPrepared},
		"a clean":         {func(d *depot) { d.want("clean", d.do(nil, "clean", "a", 1, "-empty", d.home), "") }, wire.FaultNotPrepared},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t)
			d.want("prepare", d.prepare("a", 1), "")
			in, out := io.Pipe()
			faults := make(chan wire.Fault, 1)
			go func() {
				faults <- d.do(in, "place", "a", 1, "-dir", d.home, "-at", "late", "-form", "file", "-limit", "1000000")
			}()
			writer := wire.NewWriter(out)
			if _, err := writer.Write(make([]byte, 2*wire.MaxPayload)); err != nil { // it has been let in, or would not read
				t.Fatal(err)
			}
			meanwhile.does(d)
			_ = writer.End() // nobody may read it any more
			_ = out.Close()
			d.want("place", <-faults, meanwhile.want)
			if left, err := os.ReadDir(d.home); err != nil || len(left) > 0 {
				t.Errorf("there is %v, %v", left, err)
			}
		})
	}
}

// collect tells what came, and how it ended.
func (d *depot) collect(run string, token int, patterns ...string) (names []string, end wire.Reply) {
	d.Helper()
	return d.collectWhile(func() {}, run, token, patterns...)
}

// meanwhile does something once before it writes.
type meanwhile struct {
	bytes.Buffer

	does func()
}

func (m *meanwhile) Write(data []byte) (int, error) {
	if does := m.does; does != nil {
		m.does = nil
		does()
	}
	return m.Buffer.Write(data)
}

func (d *depot) collectWhile(does func(), run string, token int, patterns ...string) (names []string, end wire.Reply) {
	d.Helper()
	text, err := json.Marshal(wire.Selection{Dir: d.workspace, Paths: patterns, Most: 10, Limit: 1 << 20})
	if err != nil {
		d.Fatal(err)
	}
	held, release := io.Pipe()
	defer release.Close()
	out := meanwhile{does: does}
	args := []string{"collect", "-root", d.root, "-run", run, "-token", strconv.Itoa(token)}
	runner.Main(d.Context(), args, io.MultiReader(bytes.NewReader(text), held), &out, &out)
	body := wire.NewBody(&out)
	err = files.ReadArtifacts(body, func(kept domain.Kept, _ io.Reader) error {
		names = append(names, kept.Path)
		return nil
	})
	if _, drainErr := io.Copy(io.Discard, body); body.End() == nil {
		d.Fatalf("collect of %s: %v, %v", run, err, drainErr)
	}
	return names, *body.End()
}

func TestOnlyWhoHasTheRunCollectsItOnceItHasEnded(t *testing.T) {
	d := newDepot(t)
	b := &bench{T: t, root: d.root, workspace: d.workspace}
	if _, end := d.collect("lives", 1, "file"); end.Fault != wire.FaultNoRun {
		t.Errorf("before it is there: %+v", end)
	}
	b.start("", "lives", "touch file; exec sleep 600", 0)
	if _, end := d.collect("lives", 1, "file"); end.Fault != wire.FaultRunning {
		t.Errorf("while it runs: %+v", end)
	}
	d.want("cancel", d.do(nil, "cancel", "lives", 1), "")
	if names, end := d.collect("lives", 1, "file"); end.Fault != "" || len(names) != 1 {
		t.Errorf("when it has ended: %q, %+v", names, end)
	}
	if _, end := d.collect("lives", 1, "missing"); end.Fault != wire.FaultFiles || end.Message != `artifact "missing" is not there` {
		t.Errorf("of what is not there: %+v", end)
	}
	d.want("adopt", d.do(nil, "adopt", "lives", 2), "")
	if _, end := d.collect("lives", 1, "file"); end.Fault != wire.FaultStaleToken {
		t.Errorf("with an older token: %+v", end)
	}
	if names, end := d.collect("lives", 2, "file"); end.Fault != "" || len(names) != 1 {
		t.Errorf("with the newer: %q, %+v", names, end)
	}
	if err := os.WriteFile(filepath.Join(d.workspace, "large"), make([]byte, 4*wire.MaxPayload), 0o600); err != nil {
		t.Fatal(err)
	}
	takeOver := func() { d.want("adopt", d.do(nil, "adopt", "lives", 3), "") }
	if _, end := d.collectWhile(takeOver, "lives", 2, "large"); end.Fault != wire.FaultStaleToken {
		t.Errorf("when it was taken over meanwhile: %+v", end)
	}
}
