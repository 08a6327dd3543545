package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

// patience is how long the kernel may take to let go of what was killed.
const patience = 10 * time.Second

// end kills every process of the cluster and removes what it left on the
// machine. The namespaces and their network go with this process.
func (n *Node) end(groups []string) error {
	return errors.Join(
		until("kill the processes", killAll),
		unmountAll(n.dir),
		until("remove the cgroups", func() error { return removeCgroups(groups) }),
		n.remove(),
	)
}

// killAll kills, and fails while there is something to kill. What is killed is
// reaped elsewhere.
func killAll() error {
	err := syscall.Kill(-1, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.New("there are processes")
}

// until calls try until it succeeds or patience is over.
func until(what string, try func() error) error {
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	deadline := time.After(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-retry.C:
		case <-deadline:
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// unmountAll detaches all mounts in the cluster's directories, the last first.
func unmountAll(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list the mounts: %w", err)
	}
	var points []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points = append(points, unescape(fields[4]))
		}
	}
	slices.Reverse(points)
	var errs []error
	for _, point := range points {
		for _, ours := range append(hidden(), dir) {
			if point == ours || strings.HasPrefix(point, ours+"/") {
				err := unix.Unmount(point, unix.MNT_DETACH)
				if err != nil && !errors.Is(err, unix.EINVAL) { // gone with the one that it was in
					errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
				}
				break
			}
		}
	}
	return errors.Join(errs...)
}

// unescape reads a path as the kernel writes it into mountinfo.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// remove removes the cluster's directory, but for logs that are kept. It removes
// nothing while something is mounted in there that may be the machine's.
func (n *Node) remove() error {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	if strings.Contains(string(table), " "+n.dir+"/") {
		return fmt.Errorf("something is mounted in %s, so it stays", n.dir)
	}
	n.mu.Lock()
	kept := n.kept
	n.mu.Unlock()
	if kept != "" {
		err = os.Rename(filepath.Join(n.dir, protocol.Logs), kept)
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}
