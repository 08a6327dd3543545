package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user as which the server runs. PostgreSQL refuses root, so for
// root it is either root mapped to an unprivileged user in a namespace of its
// own, or, where the kernel does not allow that, a real unprivileged user.
type account struct {
	uid, gid  int  // of the files, as seen from here
	namespace bool // map uid to an unprivileged user
	drop      bool // become uid
}

// newAccount decides as whom the server in bin can run.
func newAccount(ctx context.Context, bin Installation) (account, error) {
	self := account{uid: os.Geteuid(), gid: os.Getegid()}
	if self.uid != 0 {
		return self, nil
	}
	mapped := self
	mapped.namespace = true
	if canMapRoot && mapped.command(ctx, filepath.Join(bin.Bin, "initdb"), "--version").Run() == nil {
		return mapped, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(found.Uid)
		gid, gidErr := strconv.Atoi(found.Gid)
		if uidErr == nil && gidErr == nil && uid > 0 {
			return account{uid: uid, gid: gid, drop: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, user namespaces are not allowed here, and there is no user postgres or nobody: run rdev as another user")
}

// command is a program of the server, run as this account. It knows nothing of
// our environment and dies with the thread that starts it.
func (a account) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, args...)
	command.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	command.Dir = "/"
	// A group of its own: Ctrl-C is for us, we stop the server when its users are done.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.drop {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	a.confine(command.SysProcAttr)
	return command
}

// explain adds what an error of a server that runs as somebody else usually means.
func (a account) explain(err error) error {
	if err == nil || !a.drop {
		return err
	}
	return fmt.Errorf("as user %d, because PostgreSQL refuses root and user namespaces are not allowed here (that user must be able to reach the directory): %w", a.uid, err)
}

// own hands paths to the account.
func (a account) own(paths ...string) error {
	if !a.drop {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, a.uid, a.gid); err != nil {
			return fmt.Errorf("hand the database files to another user: %w", err)
		}
	}
	return nil
}

// ownAll hands a whole tree to the account.
func (a account) ownAll(root string) error {
	if !a.drop {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return a.own(path)
	})
}
