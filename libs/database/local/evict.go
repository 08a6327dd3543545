package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	evictPoll     = 20 * time.Millisecond
	evictPatience = 5 * time.Second // before the harder signal
)

// evict deals with what a server that was not stopped left behind. As we hold
// the lock nobody supervises its processes: those that still run are orphans,
// or about to end, and are made to. The note of its process id stays, because
// it also names the shared memory by which the new server sees that really
// nobody uses the data; but the id may belong to an innocent process by now, for
// which the server would refuse to start. So it is replaced by our own, which
// the server, being our child, knows to be stale.
func evict(ctx context.Context, data string) error {
	note := filepath.Join(data, "postmaster.pid")
	if _, err := os.Stat(note); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := endAll(ctx, data); err != nil {
		return err
	}
	// A server that ended in order has removed the note meanwhile.
	content, err := os.ReadFile(note)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(content, []byte("\n"))
	return os.WriteFile(note, append([]byte(strconv.Itoa(os.Getpid())+"\n"), rest...), 0o600)
}

// endAll ends every process that serves data.
func endAll(ctx context.Context, data string) error {
	began := time.Now()
	for {
		left := serving(data)
		if len(left) == 0 {
			return nil
		}
		sign, waited := syscall.SIGQUIT, time.Since(began)
		if waited > evictPatience {
			sign = syscall.SIGKILL
		}
		if waited > 2*evictPatience {
			return fmt.Errorf("processes %v, left behind by an earlier server, do not end", left)
		}
		for _, pid := range left {
			if err := syscall.Kill(pid, sign); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d, left behind by an earlier server: %w", pid, err)
			}
		}
		if err := wait(ctx, evictPoll); err != nil {
			return err
		}
	}
}
