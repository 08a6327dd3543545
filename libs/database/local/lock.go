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
	"strings"
	"syscall"
	"time"
)

// lock makes this process the only supervisor of dir. The lock belongs to the
// open file, so that the kernel gives it back however we end.
func lock(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder := make([]byte, 20)
			n, _ := file.Read(holder)
			return nil, fmt.Errorf("%w: %s, by process %s", ErrInUse, dir, bytes.TrimSpace(holder[:n]))
		}
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	if err := file.Truncate(0); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := fmt.Fprintln(file, os.Getpid()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// clear removes what a server that was not stopped left in data. As we hold the
// lock nobody supervises it: if it still runs it is an orphan and is ended, and
// if another process has its id by now the note of it is removed, because the
// server would take that process for its predecessor.
func clear(ctx context.Context, data string) error {
	note := filepath.Join(data, "postmaster.pid")
	content, err := os.ReadFile(note)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || !serves(pid, data) {
		return os.Remove(note)
	}
	for attempt := range 200 {
		sign := syscall.SIGQUIT
		if attempt > 100 {
			sign = syscall.SIGKILL
		}
		if err := syscall.Kill(pid, sign); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the server that was left behind (process %d): %w", pid, err)
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		if !serves(pid, data) {
			// A server that ended in order removed the note itself.
			if err := os.Remove(note); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
	}
	return fmt.Errorf("the server that was left behind (process %d) does not end", pid)
}
