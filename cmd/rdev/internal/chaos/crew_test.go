package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crashed is what a Go program says that ends for a bug of its own, or has a race.
var crashed = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE)`)

// serving is what an executor says once it is up.
var serving = regexp.MustCompile(`msg=serving instance=(\S+)`)

// crew are executors as processes of their own.
type crew struct {
	t       *testing.T
	program string
	args    []string
	logs    string // directory

	mu      sync.Mutex
	members []*member
	started int
}

type member struct {
	name   string
	cmd    *exec.Cmd
	ended  chan struct{}
	frozen bool
}

func newCrew(t *testing.T, natsURL, runner, workersDir string) *crew {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &crew{t: t, program: program, args: []string{executorCommand, natsURL, runner, workersDir}, logs: t.TempDir()}
	t.Cleanup(c.disband)
	return c
}

// start adds an executor.
func (c *crew) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started++
	m := &member{name: fmt.Sprintf("executor-%d", c.started), ended: make(chan struct{})}
	log, err := os.Create(filepath.Join(c.logs, m.name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd = exec.Command(c.program, c.args...)
	m.cmd.Stderr = log
	// In a group of its own: should the tests die while it is frozen, the kernel
	// hangs it up.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := m.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = m.cmd.Wait() // it is killed, as a rule
		close(m.ended)
	}()
	c.members = append(c.members, m)
	return nil
}

// one takes an executor that is neither frozen nor gone, or nil: one of the busy
// instances, where there is one.
func (c *crew) one(random *rand.Rand, busy map[string]bool) *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var able, working []*member
	for _, m := range c.members {
		if m.frozen || m.gone() {
			continue
		}
		able = append(able, m)
		if busy[c.instance(m)] {
			working = append(working, m)
		}
	}
	if len(working) > 0 {
		able = working
	}
	if len(able) == 0 {
		return nil
	}
	return able[random.IntN(len(able))]
}

// instance is the name that an executor has in the log, as it says itself.
func (c *crew) instance(m *member) string {
	text, err := os.ReadFile(filepath.Join(c.logs, m.name+".log"))
	found := serving.FindSubmatch(text)
	if err != nil || found == nil {
		return ""
	}
	return string(found[1])
}

func (m *member) gone() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

func (m *member) signal(s syscall.Signal) error {
	if err := m.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s to %s: %w", s, m.name, err)
	}
	return nil
}

// kill ends an executor with SIGKILL.
func (c *crew) kill(m *member) error {
	err := m.signal(syscall.SIGKILL)
	<-m.ended
	return err
}

// freeze stops an executor for a while, as a suspended machine does.
func (c *crew) freeze(m *member, d time.Duration) error {
	c.mu.Lock()
	m.frozen = true
	c.mu.Unlock()
	err := m.signal(syscall.SIGSTOP)
	time.Sleep(d)
	err = errors.Join(err, m.signal(syscall.SIGCONT))
	c.mu.Lock()
	m.frozen = false
	c.mu.Unlock()
	return err
}

// replace starts an executor for each that ended by itself.
func (c *crew) replace(size int) (ended int, err error) {
	c.mu.Lock()
	alive := 0
	for _, m := range c.members {
		if !m.gone() {
			alive++
		}
	}
	c.mu.Unlock()
	for range size - alive {
		ended++
		err = errors.Join(err, c.start())
	}
	return ended, err
}

// disband ends all executors, and tells what they said where the test failed.
func (c *crew) disband() {
	for _, m := range c.members {
		if err := errors.Join(m.signal(syscall.SIGCONT), c.kill(m)); err != nil {
			c.t.Error(err)
		}
		text, err := os.ReadFile(filepath.Join(c.logs, m.name+".log"))
		if err != nil || crashed.Match(text) {
			c.t.Errorf("%s crashed, or its log is lost: %v", m.name, err)
		}
		if c.t.Failed() {
			c.t.Logf("%s:\n%s", m.name, text)
		}
	}
}
