// Package confine starts the program of a run, kept from what it was not given
// as far as the kernel allows.
//
// A Landlock domain belongs to a thread and to what that thread starts. So one
// thread is confined and starts the program, and the rest of the supervisor
// stays outside: a process inside the domain could not signal its siblings, and
// a cancel would end nothing.
package confine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Access rights of Landlock, and what it scopes.
const (
	fileRights  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	readRights  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	abi1Rights  = 1<<13 - 1
	makeDevices = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
	scopeSocket = 1 << 0 // abstract unix sockets
	scopeSignal = 1 << 1
)

// rulesetAttr is struct landlock_ruleset_attr. An older kernel takes the first
// fields only.
type rulesetAttr struct{ files, network, scoped uint64 }

// devices may be read and written by every program.
func devices() []string {
	return []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}
}

// landlockABI is the version of Landlock that the kernel has, 0 for none.
func landlockABI() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}

// landlock confines the calling thread to the directories of c.
func landlock(c wire.Confinement) error {
	abi := landlockABI()
	if abi == 0 {
		return errors.New("confine files: the kernel has no Landlock")
	}
	attr, size := rulesetAttr{files: abi1Rights}, uintptr(8)
	if abi >= 2 {
		attr.files |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		attr.files |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 5 {
		attr.files |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		attr.scoped, size = scopeSocket|scopeSignal, 24
	}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return fmt.Errorf("create landlock ruleset: %w", errno)
	}
	defer unix.Close(int(ruleset))
	for _, path := range c.Read {
		if err := allow(int(ruleset), path, readRights); err != nil {
			return err
		}
	}
	for _, path := range append(devices(), c.Write...) {
		if err := allow(int(ruleset), path, attr.files&^makeDevices); err != nil {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("enter landlock domain: %w", errno)
	}
	return nil
}

// allow adds a rule for a path and what is below it. A path that does not exist
// needs none.
func allow(ruleset int, path string, rights uint64) error {
	file, err := os.OpenFile(path, unix.O_PATH, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("allow %s: %w", path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("allow %s: %w", path, err)
	}
	if !info.IsDir() {
		rights &= fileRights
	}
	// struct landlock_path_beneath_attr is packed.
	var rule [12]byte
	binary.NativeEndian.PutUint64(rule[:], rights)
	binary.NativeEndian.PutUint32(rule[8:], uint32(file.Fd()))
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("allow %s: %w", path, errno)
	}
	return nil
}
