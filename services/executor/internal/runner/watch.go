package runner

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/store"
)

// change is what happened in a run's directory.
type change int

const (
	changeOutput change = iota // the spool grew
	changeOther                // the run may have ended
)

// watch tells of changes in a run's directory as they happen; several may be
// told as one. Where the file system does not tell, nothing is: callers look now
// and then of their own accord.
func watch(run *store.Run) (changes <-chan change, stop func()) {
	told := make(chan change, 1)
	nothing := func() {}
	dir, err := run.Handle()
	if err != nil {
		return told, nothing
	}
	defer dir.Close()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return told, nothing
	}
	path := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	const ends = unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF
	if _, err := unix.InotifyAddWatch(fd, path, ends|unix.IN_MODIFY); err != nil {
		_ = unix.Close(fd)
		return told, nothing
	}
	file := os.NewFile(uintptr(fd), "inotify")
	go func() {
		buffer := make([]byte, 16<<10)
		for {
			n, err := file.Read(buffer)
			if err != nil {
				return
			}
			tell(told, eventsIn(buffer[:n], ends))
		}
	}()
	return told, func() { _ = file.Close() }
}

// eventsIn reads a list of struct inotify_event.
func eventsIn(list []byte, ends uint32) change {
	for len(list) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(list[4:])
		length := int(binary.NativeEndian.Uint32(list[12:]))
		if mask&ends != 0 {
			return changeOther
		}
		list = list[min(len(list), unix.SizeofInotifyEvent+length):]
	}
	return changeOutput
}

// tell leaves a change for a reader that may have one to read yet; the weightier
// of the two stays.
func tell(told chan change, c change) {
	for {
		select {
		case told <- c:
			return
		default:
		}
		select {
		case waiting := <-told:
			c = max(c, waiting)
		default:
		}
	}
}
