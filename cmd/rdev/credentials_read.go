package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// readSecret reads a value from stdin, without one newline at its end, or asks for
// it on a terminal. Its errors tell nothing of the value.
func readSecret(cmd *cobra.Command, name string) (string, error) {
	in := cmd.InOrStdin()
	var text []byte
	var err error
	if file, ok := in.(*os.File); ok && isTerminal(file) {
		text, err = askSecret(cmd, file, name)
	} else {
		// One byte more than is allowed, so that too much is noticed, and the newline.
		text, err = io.ReadAll(io.LimitReader(in, contract.MaxCredential+2))
	}
	if err != nil {
		return "", err
	}
	value := strings.TrimSuffix(string(text), "\n")
	switch {
	case value == "":
		return "", usagef(cmd, "the value is empty")
	case len(value) > contract.MaxCredential:
		return "", usagef(cmd, "the value has more than %d bytes", contract.MaxCredential)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return "", usagef(cmd, "the value is not UTF-8 text without zero bytes: encode it, as with base64")
	}
	return value, nil
}

// askSecret reads a line that the terminal does not show. Ctrl-C leaves, with the
// terminal as it was.
func askSecret(cmd *cobra.Command, terminal *os.File, name string) ([]byte, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for the value: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	fmt.Fprintf(cmd.ErrOrStderr(), "Value of %s (it is not shown): ", render.Line(name))
	type answer struct {
		text []byte
		err  error
	}
	read := make(chan answer, 1)
	// It ends with the line, or else with the process, which Ctrl-C ends.
	go func() {
		text, err := term.ReadPassword(fd)
		read <- answer{text, err}
	}()
	select {
	case got := <-read:
		fmt.Fprintln(cmd.ErrOrStderr())
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return nil, fmt.Errorf("read the value: %w", got.err)
		}
		return got.text, nil
	case <-signals:
		fmt.Fprintln(cmd.ErrOrStderr())
		return nil, &exitError{code: exitInterrupted, err: errors.Join(errLeft, term.Restore(fd, before))}
	}
}
