package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// callTimeout bounds one call of git that answers no request.
	callTimeout = 2 * time.Minute
	// killDelay is what git has to tidy up once it was told to end.
	killDelay = 5 * time.Second
	// maxStderr is how many bytes are kept of what git says before it fails.
	maxStderr = 2 << 10
)

// environment is all of git's: nothing of this process's own, and no settings of the
// machine or of its user.
func environment(program string, more ...string) []string {
	return append([]string{
		"PATH=" + filepath.Dir(program) + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=/dev/null", "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1", "GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1",
	}, more...)
}

// settings stand above those of a repository. What is pushed is hostile, and what is
// acknowledged has to be there after a power failure.
func (f *Forge) settings() []string {
	settings := []string{
		"core.hooksPath=/dev/null", "core.fsmonitor=false", "core.bigFileThreshold=32m",
		"core.fsync=committed,reference", "receive.unpackLimit=1", // one pack is synced faster than many objects
		"http.receivepack=true", "http.uploadpack=true", "http.getanyfile=false", "uploadpack.allowFilter=true",
		"receive.autogc=true", "gc.autoDetach=false", "maintenance.autoDetach=false", // it ends with its push
		"receive.maxInputSize=" + strconv.FormatInt(f.maxPush, 10),
		"receive.fsckObjects=true",
	}
	// What old versions of git, and importers, have written into many histories, and does
	// no harm.
	for _, flaw := range []string{
		"badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingEmail", "missingNameBeforeEmail", "missingSpaceBeforeDate",
		"missingSpaceBeforeEmail", "multipleAuthors", "zeroPaddedDate", "zeroPaddedFilemode",
	} {
		settings = append(settings, "receive.fsck."+flaw+"=warn")
	}
	args := make([]string, 0, 2*len(settings))
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// command is a call of git. Once the context ends so do git and all that it started.
func (f *Forge) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, f.program, append(f.settings(), args...)...)
	cmd.Dir = f.dir
	cmd.Env = environment(f.program, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
	cmd.Stderr = &tail{}
	return cmd
}

// wait waits for git. Whatever it left behind is ended where it did not end by itself.
func wait(ctx context.Context, cmd *exec.Cmd) error {
	err := cmd.Wait()
	if err == nil {
		return nil
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly there is nobody left
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if said, ok := cmd.Stderr.(*tail); ok && len(said.bytes) > 0 {
		return fmt.Errorf("%w: %s", err, strings.ReplaceAll(strings.TrimSpace(string(said.bytes)), "\n", "; "))
	}
	return err
}

// call is what git is called with, beside its arguments.
type call struct {
	repository string // its name; "" for none
	env        []string
	stdin      io.Reader
}

// git runs git to its end, and returns what it printed.
func (f *Forge) git(ctx context.Context, c call, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := args[0]
	if c.repository != "" {
		args = append([]string{"--git-dir=" + f.path(c.repository)}, args...)
	}
	cmd := f.command(ctx, c.env, args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = c.stdin, &out
	f.passed()
	err := cmd.Start()
	if err == nil {
		err = wait(ctx, cmd)
	}
	f.passed()
	if err != nil {
		return out.String(), fmt.Errorf("git %s: %w", name, err)
	}
	return out.String(), nil
}

// exited is the exit code of git, -1 where it had none.
func exited(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// tail keeps the end of what is written.
type tail struct{ bytes []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - maxStderr; over > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[over:]...)
	}
	return len(p), nil
}
