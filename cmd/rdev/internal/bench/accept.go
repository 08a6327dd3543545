package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// payload is the size of a command's body, in bytes.
const payload = 512

// commandBody is a command of the usual size.
func commandBody() (string, error) {
	command := shell("true")
	command["env"] = map[string]string{"PADDING": ""}
	text, err := json.Marshal(command)
	if err != nil {
		return "", err
	}
	command["env"] = map[string]string{"PADDING": strings.Repeat("x", payload-len(text))}
	text, err = json.Marshal(command)
	return string(text), err
}

// bench is rdev and its raw limits, all up at once, for loads that take turns.
type bench struct {
	*world
	nats, http *process
	natsURL    string
	httpURL    string
	body       string
	rawDir     string
}

const heldProject = "held"

func newBench(ctx context.Context, s settings) (_ *bench, err error) {
	b := &bench{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()
	if b.body, err = commandBody(); err != nil {
		return nil, err
	}
	if b.rawDir, err = os.MkdirTemp("", "rdev-bench-raw-"); err != nil {
		return nil, err
	}
	if b.world, err = newWorld(ctx, s); err != nil {
		return nil, err
	}
	if b.nats, b.natsURL, err = serve[string](ctx, "nats", natsConfig{Dir: filepath.Join(b.rawDir, "nats")}); err != nil {
		return nil, err
	}
	if b.http, b.httpURL, err = serve[string](ctx, "http", httpConfig{Every: time.Second}); err != nil {
		return nil, err
	}
	return b, b.hold(ctx, heldProject)
}

func (b *bench) stop() (err error) {
	for _, p := range []*process{b.nats, b.http} {
		if p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	if b.world != nil {
		err = errors.Join(err, b.world.stop())
	}
	return errors.Join(err, os.RemoveAll(b.rawDir))
}

// publish, post and command load raw NATS, raw HTTP and rdev alike.
func (b *bench) publish(cfg loadConfig) loadConfig {
	cfg.Kind, cfg.URL, cfg.Body = "publish", b.natsURL, b.body
	return cfg
}

func (b *bench) rawPost(cfg loadConfig) loadConfig {
	cfg.Kind, cfg.URL, cfg.Body = "post", b.httpURL+"/projects/"+heldProject+"/commands", b.body
	return cfg
}

func (b *bench) command(cfg loadConfig) loadConfig {
	cfg.Kind, cfg.URL, cfg.Key, cfg.Body = "post", b.URL+"/projects/"+heldProject+"/commands", b.Key, b.body
	return cfg
}

// measureAccept: commands accepted a second. Nothing is carried out: the lane
// is held.
func measureAccept(ctx context.Context, s settings, r *result) (err error) {
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	shape := loadConfig{Clients: 64, Warm: s.hold / 8, For: s.hold}
	for range s.reps {
		for _, c := range []struct {
			name string
			cfg  loadConfig
			cpu  func() float64
		}{
			{"raw publish, always synced", b.publish(shape), func() float64 { return treeCPU(b.nats.pid()) }},
			{"raw POST", b.rawPost(shape), func() float64 { return treeCPU(b.http.pid()) }},
			{"rdev", b.command(shape), b.cpu},
		} {
			before := c.cpu()
			recording, err := record(ctx, s, r.Metric, b.PID)
			if err != nil {
				return err
			}
			found, own, err := ask[loadResult](ctx, "load", c.cfg)
			if err := errors.Join(err, recording()); err != nil {
				return err
			}
			each := 10_000 / (found.Rate * (shape.Warm + shape.For).Seconds())
			r.add(c.name, "/s", found.Rate)
			r.add(c.name+", p50 of 64 clients", "ms", found.P50)
			r.add(c.name+", CPU per 10,000", "s", (c.cpu()-before)*each)
			r.add(c.name+", CPU of the loader per 10,000", "s", own*each)
		}
	}
	r.mark("raw publish / rdev", "times", r.of("raw publish, always synced")/r.of("rdev"), 0)
	r.mark("raw POST / rdev", "times", r.of("raw POST")/r.of("rdev"), 0)
	r.Notes = append(r.Notes, "raw publish is one fsync for each message: NATS has no group commit but atomic batches")
	return nil
}

// measureLatency: POST to 202 at a rate that leaves room.
func measureLatency(ctx context.Context, s settings, r *result) (err error) {
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	shape := loadConfig{Rate: 200, Warm: s.hold / 8, For: s.hold}
	for range s.reps {
		for _, c := range []struct {
			name string
			cfg  loadConfig
		}{{"raw publish, always synced", b.publish(shape)}, {"raw POST", b.rawPost(shape)}, {"rdev", b.command(shape)}} {
			found, _, err := ask[loadResult](ctx, "load", c.cfg)
			if err != nil {
				return err
			}
			r.add(c.name+", p50", "ms", found.P50)
			r.add(c.name+", p99", "ms", found.P99)
		}
	}
	for _, p := range []struct {
		name string
		most float64
	}{{"p50", 3}, {"p99", 0}} {
		r.mark("rdev / (raw publish + raw POST), "+p.name, "times",
			r.of("rdev, "+p.name)/(r.of("raw publish, always synced, "+p.name)+r.of("raw POST, "+p.name)), p.most)
	}
	return nil
}
