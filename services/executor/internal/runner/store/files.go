package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Alive is the lock that a supervisor holds for as long as it lives. The kernel
// releases it whatever ends the supervisor, and no other process can have it by
// mistake, as can happen with a PID.
type Alive struct{ file *os.File }

// Held tells whether the supervisor lives.
func (a *Alive) Held() (bool, error) {
	err := flock(a.file, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, flock(a.file, unix.LOCK_UN)
}

// Wait returns when the supervisor has ended.
func (a *Alive) Wait() error {
	if err := flock(a.file, unix.LOCK_SH); err != nil {
		return err
	}
	return flock(a.file, unix.LOCK_UN)
}

// Take waits until nobody holds the lock and holds it until Close, in place of a
// supervisor that is gone.
func (a *Alive) Take() error { return flock(a.file, unix.LOCK_EX) }

// Close releases the file.
func (a *Alive) Close() error { return a.file.Close() }

func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// replace writes a file so that readers, and whoever comes after a crash, find
// the old text or the new.
func replace(dir *os.Root, name string, text []byte) error {
	temporary := name + ".new"
	file, err := dir.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return err
	}
	return publish(dir, file, temporary, name)
}

// publish gives a written file its name when its content is on the disk.
func publish(dir *os.Root, file *os.File, from, to string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := dir.Rename(from, to); err != nil {
		return err
	}
	handle, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer handle.Close()
	return handle.Sync()
}
