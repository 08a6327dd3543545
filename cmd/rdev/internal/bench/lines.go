package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick prints the time, so many times, with a pause in between.
func tick(ctx context.Context, w io.Writer, count, every string) error {
	n, err := strconv.Atoi(count)
	pause, pauseErr := time.ParseDuration(every)
	if err := errors.Join(err, pauseErr); err != nil {
		return err
	}
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for range n {
		if _, err := fmt.Fprintln(w, time.Now().UnixNano()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// linesConfig is a program that prints times, and how to read it: through a
// pipe, or, where there is a URL, as a command of rdev.
type linesConfig struct {
	Argv     []string
	URL, Key string
	Project  string
	Skip     int // lines at the start, that the stream may have missed
}

// readLines announces how old lines are when they arrive.
func readLines(ctx context.Context, cfg linesConfig, say announce) error {
	var ages []float64
	take := func(text string) error {
		now := time.Now().UnixNano()
		for line := range strings.FieldsSeq(text) {
			at, err := strconv.ParseInt(line, 10, 64)
			if err != nil {
				return err
			}
			ages = append(ages, milliseconds(time.Duration(now-at)))
		}
		return nil
	}
	read := cfg.readPipe
	if cfg.URL != "" {
		read = cfg.readStream
	}
	if err := read(ctx, take); err != nil {
		return err
	}
	if len(ages) <= cfg.Skip {
		return fmt.Errorf("only %d lines came", len(ages))
	}
	ages = ages[cfg.Skip:]
	return say(loadResult{P50: percentile(ages, 0.5), P99: percentile(ages, 0.99), Done: len(ages)})
}

func (cfg linesConfig) readPipe(ctx context.Context, take func(string) error) error {
	cmd := exec.CommandContext(ctx, cfg.Argv[0], cfg.Argv[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		err = errors.Join(err, take(lines.Text()))
	}
	return errors.Join(err, cmd.Wait())
}

func (cfg linesConfig) readStream(ctx context.Context, take func(string) error) error {
	op, err := postTo(ctx, http.DefaultClient, cfg.URL+"/projects/"+cfg.Project+"/commands", cfg.Key, shell(cfg.Argv...))
	if err != nil {
		return err
	}
	body, err := openStream(ctx, http.DefaultClient, cfg.URL+"/operations/"+op.ID+"/output", cfg.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
		}
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		switch {
		case ok && event == "stdout":
			var chunk struct{ Data string }
			if err := errors.Join(json.Unmarshal(data, &chunk), take(chunk.Data)); err != nil {
				return err
			}
		case ok && event == "end":
			var end struct{ State string }
			if err := json.Unmarshal(data, &end); err != nil || end.State != "completed" {
				return fmt.Errorf("the command ended: %s", data)
			}
			return nil
		}
	}
	return errors.Join(errors.New("the stream broke off"), lines.Err())
}

func openStream(ctx context.Context, client *http.Client, url, key string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-API-Key", key)
	request.Header.Set("Accept", "text/event-stream")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("GET %s: %s", url, response.Status), response.Body.Close())
	}
	return response.Body, nil
}

// tickCommand is this program as one that prints times.
func tickCommand(count int, every time.Duration) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return nil, err
	}
	return []string{self, "tick", strconv.Itoa(count), every.String()}, nil
}

// measureLine: how much later a line arrives through rdev than through a pipe.
func measureLine(ctx context.Context, s settings, r *result) (err error) {
	w, err := newWorld(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.project(ctx, "lines"); err != nil {
		return err
	}
	argv, err := tickCommand(s.lines, 5*time.Millisecond)
	if err != nil {
		return err
	}
	pipe := linesConfig{Argv: argv, Skip: s.lines / 10}
	stream := linesConfig{Argv: argv, Skip: s.lines / 10, URL: w.URL, Key: w.Key, Project: "lines"}
	for range s.reps {
		for _, c := range []struct {
			name string
			cfg  linesConfig
		}{{"pipe", pipe}, {"rdev", stream}} {
			found, _, err := ask[loadResult](ctx, "lines", c.cfg)
			if err != nil {
				return err
			}
			r.add(c.name+", p50", "ms", found.P50)
			r.add(c.name+", p99", "ms", found.P99)
		}
	}
	r.mark("rdev - pipe, p50", "ms", r.of("rdev, p50")-r.of("pipe, p50"), 3)
	r.mark("rdev - pipe, p99", "ms", r.of("rdev, p99")-r.of("pipe, p99"), 0)
	return nil
}
