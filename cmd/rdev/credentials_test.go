package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
)

// terminal is one whose other end, where a person would be, is person.
func terminal(t *testing.T) (person, stdin *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	stdin, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	return person, stdin
}

// shows tells whether a terminal shows what is typed.
func shows(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// ask runs `rdev credentials set` on a terminal, where keys are typed once it
// waits for them, and returns what it said, what the terminal showed, and the
// exit code.
func ask(t *testing.T, gateway *gatewaytest.Gateway, keys string) (said, shown string, code int) {
	t.Helper()
	person, stdin := terminal(t)
	cmd := exec.CommandContext(t.Context(), "rdev", "credentials", "set", "ASKED", "-p", "shop")
	cmd.Env = append(os.Environ(), "RDEV_API_URL="+gateway.Server.URL, "RDEV_API_KEY="+gatewaytest.Key)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that Ctrl-C reaches it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(patience); shows(t, stdin); {
		if <-look.C; time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			t.Fatalf("it does not ask: %v, %s", cmd.Wait(), &out)
		}
	}
	if _, err := person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code tells
	if !shows(t, stdin) {
		t.Error("the terminal is left without echo")
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	seen, err := io.ReadAll(person) // ends as nobody is at the other end any more
	if err != nil && !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	return out.String(), string(seen), cmd.ProcessState.ExitCode()
}

func TestATerminalDoesNotShowTheValueThatItIsAskedFor(t *testing.T) {
	gateway := gatewaytest.New("shop")
	t.Cleanup(gateway.Close)
	said, shown, code := ask(t, gateway, "canary 1\n")
	if want := "Value of ASKED (it is not shown): \n✓ set ASKED of project shop\n"; said != want || code != 0 {
		t.Errorf("%d %q, want %q", code, said, want)
	}
	if strings.Contains(shown, "canary") {
		t.Errorf("the terminal shows %q", shown)
	}
	if value, _ := gateway.Credential("shop", "ASKED"); value != "canary 1" {
		t.Errorf("the value is %q", value)
	}
}

func TestCtrlCLeavesTheQuestionAndTheTerminalAsItWas(t *testing.T) {
	gateway := gatewaytest.New("shop")
	t.Cleanup(gateway.Close)
	said, _, code := ask(t, gateway, "can\x03")
	if code != exitInterrupted || !strings.HasSuffix(said, ": \nrdev: interrupted\n") {
		t.Errorf("%d %q", code, said)
	}
	if value, known := gateway.Credential("shop", "ASKED"); known {
		t.Errorf("the value is %q", value)
	}
}
