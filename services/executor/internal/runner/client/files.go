package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/files"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// errNotWanted ends a stream that nobody reads any more.
var errNotWanted = errors.New("the rest is not wanted")

// Place puts files below a home. See app.Runtime.
func (c *Client) Place(ctx context.Context, ref domain.RunRef, home string, at domain.Placing, open func(context.Context) (io.ReadCloser, error)) error {
	args := append(c.args("place", ref), "-dir", home, "-at", at.At, "-form", string(at.Form), "-limit", strconv.FormatInt(at.Limit, 10))
	if at.Exec {
		args = append(args, "-exec")
	}
	for _, path := range at.Only {
		args = append(args, "-only", path)
	}
	return again(ctx, tries, args, func() (bool, error) { return c.placeOnce(ctx, args, open) })
}

// placeOnce sends what open opens. What is wrong with that is final.
func (c *Client) placeOnce(ctx context.Context, args []string, open func(context.Context) (io.ReadCloser, error)) (final bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	opened, err := open(ctx)
	if err != nil {
		return true, err
	}
	defer opened.Close()
	in, out := io.Pipe()
	from, sent := &source{in: opened}, make(chan struct{})
	go func() {
		err := send(out, from)
		close(sent)
		_ = out.CloseWithError(err) // the runner finds that it is not whole
	}()
	var stdout bytes.Buffer
	err = c.exec(ctx, args, in, &stdout)
	select {
	case <-sent:
		if from.err != nil {
			return true, from.err
		}
	default: // the runner, or the connection, ended before
		stop()
		_ = in.CloseWithError(errNotWanted)
		<-sent
	}
	if err != nil {
		return false, err
	}
	var reply wire.Reply
	if err := json.Unmarshal(stdout.Bytes(), &reply); err != nil {
		return false, fmt.Errorf("no reply: %w", err)
	}
	return true, refused(reply)
}

// source is what is sent, and what was wrong with it.
type source struct {
	in  io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(data []byte) (int, error) {
	n, err := s.in.Read(data)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func send(out io.Writer, from io.Reader) error {
	writer := wire.NewWriter(out)
	if _, err := io.Copy(writer, from); err != nil {
		return err
	}
	return writer.End()
}

// Artifacts reads what a run left in a workspace. See app.Runtime.
func (c *Client) Artifacts(ctx context.Context, ref domain.RunRef, want wire.Selection, take func(domain.Kept, io.Reader) error) error {
	return c.collect(ctx, ref, want, func(body io.Reader) error { return files.ReadArtifacts(body, take) })
}

// Cache reads what a run left in a home. See app.Runtime.
func (c *Client) Cache(ctx context.Context, ref domain.RunRef, want wire.Selection, take func(io.Reader) error) error {
	want.Cache = true
	return c.collect(ctx, ref, want, take)
}

func (c *Client) collect(ctx context.Context, ref domain.RunRef, want wire.Selection, take func(io.Reader) error) error {
	text, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("collect files of run %s: %w", ref.ID, err)
	}
	args := c.args("collect", ref)
	return again(ctx, tries, args, func() (bool, error) { return c.collectOnce(ctx, args, text, take) })
}

// collectOnce has take read what comes. What take says is final where all of it came,
// and also where it would have no more.
func (c *Client) collectOnce(ctx context.Context, args []string, want []byte, take func(io.Reader) error) (final bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	// The runner sends for as long as its standard input is open.
	held, release := io.Pipe()
	in, out := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := c.exec(ctx, args, io.MultiReader(bytes.NewReader(want), held), out)
		_ = out.CloseWithError(errors.Join(err, io.ErrUnexpectedEOF))
	}()
	defer func() {
		stop()
		_, _ = in.CloseWithError(errNotWanted), release.Close()
		<-ended
	}()
	body := wire.NewBody(in)
	taken := take(body)
	if taken == nil {
		_, _ = io.Copy(io.Discard, body) // to the end, which says whether it is whole
	}
	switch end := body.End(); {
	case end != nil && end.Fault != "":
		return true, refused(*end)
	case end == nil && body.Err() != nil:
		return false, body.Err()
	}
	return true, taken
}
