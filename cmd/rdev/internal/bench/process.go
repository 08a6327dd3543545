package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// announce tells the process that started this one something.
type announce func(any) error

// roles are what this program is in its child processes. A server announces
// where it is and goes on until ctx is done; a loader announces what it
// measured and returns.
func roles() map[string]func(context.Context, json.RawMessage, announce) error {
	return map[string]func(context.Context, json.RawMessage, announce) error{
		"audit":      roleOf(serveAudit),
		"database":   roleOf(serveDatabase),
		"executors":  roleOf(serveExecutors),
		"fill":       roleOf(fill),
		"hostile":    roleOf(serveHostile),
		"http":       roleOf(serveHTTP),
		"keep":       roleOf(keep),
		"lines":      roleOf(readLines),
		"load":       roleOf(load),
		"nats":       roleOf(serveNATS),
		"operations": roleOf(runOperations),
		"readers":    roleOf(readStreams),
		"river":      roleOf(serveRiver),
		"row":        roleOf(awaitRows),
		"sink":       roleOf(serveSink),
		"work":       roleOf(runWork),
	}
}

func roleOf[Config any](run func(context.Context, Config, announce) error) func(context.Context, json.RawMessage, announce) error {
	return func(ctx context.Context, raw json.RawMessage, say announce) error {
		var cfg Config
		if err := json.Unmarshal(raw, &cfg); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
		return run(ctx, cfg, say)
	}
}

// play runs a role: its configuration is the first JSON value on standard
// input, and the end of standard input is the end of the role.
func play(ctx context.Context, name string) error {
	role := roles()[name]
	if role == nil {
		return fmt.Errorf("there is no role %q", name)
	}
	var raw json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&raw); err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := role(ctx, raw, json.NewEncoder(os.Stdout).Encode); err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	return nil
}

// process is a child with a role.
type process struct {
	role string
	cmd  *exec.Cmd
	in   io.Closer
	out  *json.Decoder
}

// stopWithin bounds the end of a role once it is asked for.
const stopWithin = 40 * time.Second

// start starts a role. The child is killed when ctx ends.
func start(ctx context.Context, role string, cfg any) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "role", role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Closing its standard input is how a role is told to end; killing comes later.
	cmd.Cancel = in.Close
	cmd.WaitDelay = stopWithin
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start role %s: %w", role, err)
	}
	p := &process{role: role, cmd: cmd, in: in, out: json.NewDecoder(out)}
	if err := json.NewEncoder(in).Encode(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("configure role %s: %w", role, err), p.stop())
	}
	return p, nil
}

// hear waits for what the child announces next.
func (p *process) hear(v any) error {
	if err := p.out.Decode(v); err != nil {
		return fmt.Errorf("role %s said nothing: %w", p.role, err)
	}
	return nil
}

// stop tells the child to end, and waits until it has.
func (p *process) stop() error {
	_ = p.in.Close() // closed already where the context has ended
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("role %s: %w", p.role, err)
	}
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// serve starts a role that serves, and returns where it is.
func serve[Where any](ctx context.Context, role string, cfg any) (*process, Where, error) {
	var where Where
	p, err := start(ctx, role, cfg)
	if err != nil {
		return nil, where, err
	}
	if err := p.hear(&where); err != nil {
		return nil, where, errors.Join(err, p.stop())
	}
	return p, where, nil
}

// ask runs a role that loads, and returns what it measured and the CPU seconds
// that it took itself.
func ask[Result any](ctx context.Context, role string, cfg any) (result Result, cpu float64, err error) {
	p, err := start(ctx, role, cfg)
	if err != nil {
		return result, 0, err
	}
	if err := errors.Join(p.hear(&result), p.stop()); err != nil {
		return result, 0, err
	}
	state := p.cmd.ProcessState
	return result, (state.UserTime() + state.SystemTime()).Seconds(), nil
}
