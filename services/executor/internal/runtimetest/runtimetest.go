// Package runtimetest is what every app.Runtime has to pass. It looks at the
// processes of this machine, so the runtime's must be among them.
package runtimetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// patience is how long a test waits for what has to happen.
const patience = 60 * time.Second

// New returns a runtime and a project of its own with an empty workspace, that
// are removed when the test ends.
type New func(t *testing.T) (app.Runtime, contract.Project)

// Run tests a runtime.
func Run(t *testing.T, newRuntime New) {
	t.Helper()
	for _, group := range [][]testCase{outputCases(), endCases(), cancelCases(), cutCases(), fenceCases(), inputCases(), freshCases(), filesCases()} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				if !c.alone {
					t.Parallel()
				}
				c.test(newBench(t, newRuntime))
			})
		}
	}
}

type testCase struct {
	name  string
	test  func(b *bench)
	alone bool // it changes what other tests see
}

// bench is a runtime and a project under test.
type bench struct {
	*testing.T
	runtime app.Runtime
	project contract.Project
	tag     string // in the environment of everything that runs
	stray   string // seconds that strays of this bench sleep
	fresh   New
}

func newBench(t *testing.T, fresh New) *bench {
	t.Helper()
	runtime, project := fresh(t)
	b := &bench{
		T: t, runtime: runtime, project: project, fresh: fresh,
		tag: "RDEV_TEST_TAG=" + rand.Text(), stray: strconv.Itoa(100_000 + mathrand.IntN(1<<30)),
	}
	t.Cleanup(func() {
		for _, pid := range append(b.processes(), b.strays()...) {
			t.Errorf("process %d is left", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return b
}

func (b *bench) ref(token uint64) domain.RunRef {
	return domain.RunRef{Project: b.project.Slug, Workspace: b.project.Workspace, ID: "run-" + strings.ToLower(rand.Text()), Token: token}
}

// script is a run of /bin/sh.
func (b *bench) script(token uint64, script string) domain.RunSpec {
	return domain.RunSpec{RunRef: b.ref(token), Argv: []string{"sh", "-c", script}, Env: []string{b.tag}}
}

func (b *bench) start(spec domain.RunSpec) domain.RunRef {
	b.Helper()
	if err := b.runtime.Start(b.Context(), spec); err != nil {
		b.Fatalf("Start: %v", err)
	}
	b.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		_ = b.runtime.Cancel(ctx, spec.RunRef, 0)
	})
	return spec.RunRef
}

// printed is the output of a run.
type printed struct {
	mu             sync.Mutex
	stdout, stderr bytes.Buffer
	both           bytes.Buffer
	frames         []domain.Frame
	part           bool // not from the start
}

func (p *printed) emit(frame domain.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.both.Write(frame.Data)
	stream := &p.stdout
	if frame.Stream == domain.Stderr {
		stream = &p.stderr
	}
	if frame.Offset != int64(stream.Len()) && !p.part {
		return fmt.Errorf("frame of stream %d is at offset %d, want %d", frame.Stream, frame.Offset, stream.Len())
	}
	stream.Write(frame.Data)
	p.frames = append(p.frames, frame)
	return nil
}

func (p *printed) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.both.String()
}

// attach reads a run to its end.
func (b *bench) attach(ref domain.RunRef, from int64) (*printed, domain.Exit) {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), 2*patience)
	defer stop()
	out := &printed{part: from != 0}
	exit, err := b.runtime.Attach(ctx, ref, from, out.emit)
	if err != nil {
		b.Fatalf("Attach: %v", err)
	}
	return out, exit
}

// follow attaches in the background.
func (b *bench) follow(ref domain.RunRef) (out *printed, wait func() domain.Exit) {
	out = &printed{}
	var exit domain.Exit
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		exit, err = b.runtime.Attach(b.Context(), ref, 0, out.emit)
	}()
	return out, func() domain.Exit {
		b.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			b.Fatal("Attach did not return")
		}
		if err != nil {
			b.Fatalf("Attach: %v", err)
		}
		return exit
	}
}

// run starts a run and reads it to its end.
func (b *bench) run(spec domain.RunSpec) (*printed, domain.Exit) {
	b.Helper()
	return b.attach(b.start(spec), 0)
}

// eventually waits for a condition.
func (b *bench) eventually(what string, condition func() bool) {
	b.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			b.Fatalf("it did not happen: %s", what)
		}
		<-ticker.C
	}
}

// processes lists the processes that belong to runs of this bench.
func (b *bench) processes() []int {
	return b.processesWith("environ", func(variables []string) bool { return slices.Contains(variables, b.tag) })
}

func (b *bench) processesWith(file string, match func([]string) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.Error(err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err == nil && match(strings.Split(string(text), "\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killSupervisor ends a run's supervisor as an accident would, and tells whether
// there was one.
func (b *bench) killSupervisor(ref domain.RunRef) bool {
	pids := b.processesWith("cmdline", func(args []string) bool {
		return slices.Contains(args, "supervise") && slices.Contains(args, ref.ID)
	})
	return killAll(pids)
}

// killReader ends the runner that sends a run's output, or moves its files, and tells
// whether there was one.
func (b *bench) killReader(ref domain.RunRef) bool {
	serving := b.processesWith("cmdline", func(args []string) bool { return slices.Contains(args, "serve") })
	return killAll(slices.DeleteFunc(serving, func(pid int) bool {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		return !slices.ContainsFunc(files, func(file string) bool {
			target, _ := os.Readlink(file)
			return strings.Contains(target, ref.ID)
		})
	}))
}

func killAll(pids []int) bool {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return len(pids) > 0
}

// ended fails the test where a run did not end as wanted.
func (b *bench) ended(exit domain.Exit, code int, signal string) {
	b.Helper()
	if !exit.Known || exit.Code != code || exit.Signal != signal || exit.StartError != "" || exit.Error != "" {
		b.Errorf("exit = %+v, want code %d, signal %q", exit, code, signal)
	}
	if exit.StartedAt.IsZero() || exit.EndedAt.Before(exit.StartedAt) {
		b.Errorf("exit times: started %v, ended %v", exit.StartedAt, exit.EndedAt)
	}
}

func (b *bench) noProcesses() {
	b.Helper()
	if pids := b.processes(); len(pids) > 0 {
		b.Errorf("processes are left: %v", pids)
	}
}
