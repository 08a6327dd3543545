package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// readersConfig is a stream that many read.
type readersConfig struct {
	URL, Key string
	Count    int
	Warm     time.Duration // between the last connection and the counting
	For      time.Duration
}

// readersResult counts what arrived at all readers together.
type readersResult struct {
	Frames, Lines float64 // a second
	Seconds       float64 // the counting, as it was
	Refused       int64   // connections that were asked for again
}

// readStreams connects all readers, announces that, and then what arrived.
func readStreams(ctx context.Context, cfg readersConfig, say announce) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, ReadBufferSize: 2048}}
	var frames, lines, refused atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	slots := make(chan struct{}, 32) // connections that are being made
	failures := make(chan error, cfg.Count)
	for range cfg.Count {
		slots <- struct{}{}
		go func() {
			var body io.ReadCloser
			err := eventually(ctx, 30*time.Second, 100*time.Millisecond, func() (err error) {
				if body, err = openStream(ctx, client, cfg.URL, cfg.Key); err != nil {
					refused.Add(1)
				}
				return err
			})
			<-slots
			failures <- err
			if err == nil {
				wg.Go(func() { count(body, &frames, &lines) })
			}
		}()
	}
	for range cfg.Count {
		if err := <-failures; err != nil {
			return err
		}
	}
	if err := say("connected"); err != nil {
		return err
	}
	time.Sleep(cfg.Warm)
	begin, framesBefore, linesBefore := time.Now(), frames.Load(), lines.Load()
	time.Sleep(cfg.For)
	seconds := time.Since(begin).Seconds()
	return say(readersResult{
		Frames: float64(frames.Load()-framesBefore) / seconds, Lines: float64(lines.Load()-linesBefore) / seconds, Seconds: seconds,
		Refused: refused.Load(),
	})
}

// count counts frames, and the line breaks within the texts that they carry.
func count(body io.ReadCloser, frames, lines *atomic.Int64) {
	defer body.Close()
	in := bufio.NewReaderSize(body, 2048)
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		if bytes.HasPrefix(part, []byte("data: ")) {
			frames.Add(1)
		}
		lines.Add(int64(bytes.Count(part, []byte(`\n`))))
	}
}

// lineEvery is the pause between two lines that all readers get.
const lineEvery = 10 * time.Millisecond

// measureReaders: what a reader costs in memory, and how much all get.
func measureReaders(ctx context.Context, s settings, r *result) error {
	for range s.reps {
		if err := measureStreams(ctx, s, r, "raw", withRawStream); err != nil {
			return err
		}
		// A fresh one each time: a server that has grown once does not grow again.
		w, err := newWorld(ctx, s)
		if err != nil {
			return err
		}
		if err := errors.Join(measureStreams(ctx, s, r, "rdev", w.withStream), w.stop()); err != nil {
			return err
		}
	}
	r.mark("rdev, memory of a reader", "KiB", r.of("rdev, memory of a reader"), 40)
	r.mark("raw / rdev, lines delivered", "times", r.of("raw, lines delivered")/r.of("rdev, lines delivered"), 0)
	r.Notes = append(r.Notes, fmt.Sprintf("%d readers, and a line every %s: %d lines/s are wanted", s.readers, lineEvery, s.readers*int(time.Second/lineEvery)))
	return nil
}

// streamer has a server stream lines, or none where it is quiet, for as long as
// use runs.
type streamer func(ctx context.Context, quiet bool, use func(url, key string, pid int) error) error

func measureStreams(ctx context.Context, s settings, r *result, name string, serve streamer) error {
	cfg := readersConfig{Count: s.readers, Warm: s.hold / 2, For: s.hold}
	err := serve(ctx, true, func(url, key string, pid int) error {
		cfg.URL, cfg.Key = url, key
		grown, err := growth(ctx, cfg, pid)
		if err == nil {
			r.add(name+", memory of a reader", "KiB", grown/1024/float64(s.readers))
		}
		return err
	})
	if err != nil {
		return err
	}
	return serve(ctx, false, func(url, key string, pid int) error {
		cfg.URL, cfg.Key = url, key
		found, cpu, err := flow(ctx, s, r.Metric+"-"+name, cfg, pid)
		if err != nil {
			return err
		}
		r.add(name+", lines delivered", "/s", found.Lines)
		r.add(name+", frames delivered", "/s", found.Frames)
		r.add(name+", CPU of the server", "s/s", cpu)
		r.add(name+", refused connections", "", float64(found.Refused))
		return nil
	})
}

// growth is by how much the server grows when the readers connect.
func growth(ctx context.Context, cfg readersConfig, pid int) (float64, error) {
	before, err := memory(pid, "VmRSS")
	if err != nil {
		return 0, err
	}
	p, _, err := serve[string](ctx, "readers", cfg)
	if err != nil {
		return 0, err
	}
	time.Sleep(cfg.Warm)
	after, err := memory(pid, "VmRSS")
	return after - before, errors.Join(err, p.stop())
}

// flow is what arrives at the readers, and the CPU seconds a second that it
// takes the server.
func flow(ctx context.Context, s settings, name string, cfg readersConfig, pid int) (found readersResult, cpu float64, err error) {
	p, _, err := serve[string](ctx, "readers", cfg)
	if err != nil {
		return found, 0, err
	}
	recording, err := record(ctx, s, name, pid)
	if err != nil {
		return found, 0, errors.Join(err, p.stop())
	}
	begin, before := time.Now(), treeCPU(pid)
	err = p.hear(&found)
	cpu = (treeCPU(pid) - before) / time.Since(begin).Seconds()
	return found, cpu, errors.Join(err, recording(), p.stop())
}

// withRawStream serves lines by a handler that does nothing else. Each use has
// a fresh server: what the readers before left behind is not counted again.
func withRawStream(ctx context.Context, quiet bool, use func(url, key string, pid int) error) error {
	every := lineEvery
	if quiet {
		every = time.Hour
	}
	p, url, err := serve[string](ctx, "http", httpConfig{Every: every})
	if err != nil {
		return err
	}
	return errors.Join(use(url+"/stream", "", p.pid()), p.stop())
}

// withStream has rdev run a command that prints lines, or none.
func (w *world) withStream(ctx context.Context, quiet bool, use func(url, key string, pid int) error) error {
	slug := fmt.Sprintf("readers-%d", time.Now().UnixNano())
	if err := w.project(ctx, slug); err != nil {
		return err
	}
	argv, err := tickCommand(1_000_000, lineEvery)
	if err != nil {
		return err
	}
	if quiet {
		argv = []string{"sleep", "3600"}
	}
	op, err := w.post(ctx, "/projects/"+slug+"/commands", shell(argv...))
	if err != nil {
		return err
	}
	err = use(w.URL+"/operations/"+op.ID+"/output", w.Key, w.PID)
	_, cancelErr := w.post(ctx, "/operations/"+op.ID+"/cancel", struct{}{})
	return errors.Join(err, cancelErr)
}
