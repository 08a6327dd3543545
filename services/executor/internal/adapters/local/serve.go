package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// serve carries out the runner as a child of this process, with an empty
// environment. It ends when its standard input does, and finishes what it had
// begun before.
func (r *Runtime) serve(ctx context.Context) (io.ReadWriteCloser, error) {
	command := exec.CommandContext(context.WithoutCancel(ctx), r.config.Runner, "serve")
	served := &served{command: command}
	command.Env, command.Dir, command.Stderr = []string{}, "/", &served.stderr
	var err error
	if served.WriteCloser, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	if served.stdout, err = command.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return served, nil
}

// served is the standard input and output of a runner.
type served struct {
	io.WriteCloser

	command *exec.Cmd
	stdout  io.Reader
	stderr  bytes.Buffer
	buried  sync.Once
}

// Read implements io.Reader. At the end of the output it tells why the runner
// ended, where that is not because it was asked to.
func (s *served) Read(data []byte) (int, error) {
	n, err := s.stdout.Read(data)
	if err != nil {
		s.buried.Do(func() {
			if ended := s.command.Wait(); ended != nil {
				err = fmt.Errorf("%s: %w: %s", s.command.Path, ended, bytes.TrimSpace(s.stderr.Bytes()))
			}
		})
	}
	return n, err
}
