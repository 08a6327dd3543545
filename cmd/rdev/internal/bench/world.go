package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/envutil"
)

// environment is what is taken from ours.
type environment struct {
	Path     string `env:"PATH"`
	Home     string `env:"HOME"`
	Registry string `env:"npm_config_registry"` // for a machine without PostgreSQL
}

// world is a fresh installation of rdev with its database: everything that an
// operator would run, and nothing else.
type world struct {
	dir      string
	keeper   *process
	database *process

	PID      int    // of rdev up
	URL      string // of the API
	Key      string
	Database string // URL
}

// newWorld starts `rdev up` as `make run` does, synced, on a PostgreSQL of its own,
// with more environment.
func newWorld(ctx context.Context, s settings, more ...string) (_ *world, err error) {
	env, err := envutil.Load[environment]()
	if err != nil {
		return nil, err
	}
	program, err := filepath.Abs(s.rdev)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w: make build makes it", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "rdev-bench-"); err != nil {
		return nil, err
	}
	if w.database, w.Database, err = startDatabase(ctx, w.dir); err != nil {
		return nil, err
	}
	home := filepath.Join(w.dir, "home")
	keeper, rdev, err := serve[kept](ctx, "keep", keepConfig{
		Argv: []string{program, "up"}, Log: filepath.Join(w.dir, "rdev.log"),
		Env: append([]string{
			"PATH=" + env.Path, "HOME=" + env.Home, "RDEV_HOME=" + home, "RDEV_ADDR=127.0.0.1:0", "RDEV_NATS_ADDR=127.0.0.1:0",
			"RDEV_DATABASE_URL=" + w.Database,
			"EXECUTOR_READABLE=" + filepath.Dir(self), // for the program that prints lines
			"EXECUTOR_ALLOW_UNCONFINED=true",          // for a kernel without Landlock
		}, more...),
	})
	if err != nil {
		return nil, err
	}
	w.keeper, w.PID = keeper, rdev.PID
	return w, w.awaitReady(ctx, home)
}

// startDatabase starts a durable PostgreSQL.
func startDatabase(ctx context.Context, dir string) (*process, string, error) {
	env, err := envutil.Load[environment]()
	if err != nil {
		return nil, "", err
	}
	return serve[string](ctx, "database", databaseConfig{Dir: filepath.Join(dir, "postgres"), Registry: env.Registry})
}

func (w *world) awaitReady(ctx context.Context, home string) error {
	var ready struct {
		URL        string `json:"url"`
		APIKeyFile string `json:"api_key_file"`
	}
	err := eventually(ctx, time.Minute, 10*time.Millisecond, func() error {
		text, err := os.ReadFile(filepath.Join(home, "ready.json"))
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &ready)
	})
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(w.dir, "rdev.log"))
		return fmt.Errorf("rdev up is not ready: %w\n%s", err, text)
	}
	key, err := os.ReadFile(ready.APIKeyFile)
	w.URL, w.Key = ready.URL, strings.TrimSpace(string(key))
	return err
}

// stop ends rdev, then the database, and removes all that they left.
func (w *world) stop() (err error) {
	for _, p := range []*process{w.keeper, w.database} {
		if p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

// cpu is the CPU seconds that rdev, what it started and PostgreSQL have taken.
func (w *world) cpu() float64 { return treeCPU(w.keeper.pid(), w.database.pid()) }

// post sends a request to the API and returns the operation that was accepted.
func (w *world) post(ctx context.Context, path string, body any) (op contract.Operation, err error) {
	return postTo(ctx, http.DefaultClient, w.URL+path, w.Key, body)
}

func postTo(ctx context.Context, client *http.Client, url, key string, body any) (op contract.Operation, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return op, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return op, err
	}
	request.Header.Set("X-API-Key", key)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return op, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return op, err
	}
	if response.StatusCode != http.StatusAccepted {
		return op, fmt.Errorf("POST %s: %s: %s", url, response.Status, answer)
	}
	return op, json.Unmarshal(answer, &op)
}

// project makes a project and waits until it takes commands.
func (w *world) project(ctx context.Context, slug string) error {
	if _, err := w.post(ctx, "/projects", map[string]any{"slug": slug}); err != nil {
		return err
	}
	return eventually(ctx, 30*time.Second, 10*time.Millisecond, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/projects/"+slug, nil)
		if err != nil {
			return err
		}
		request.Header.Set("X-API-Key", w.Key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("project %s: %s", slug, response.Status)
		}
		return nil
	})
}

// hold makes a project whose one lane is held by a command that sleeps, so that
// commands for it are accepted and nothing comes of them.
func (w *world) hold(ctx context.Context, slug string) error {
	if err := w.project(ctx, slug); err != nil {
		return err
	}
	_, err := w.post(ctx, "/projects/"+slug+"/commands", shell("sleep", "3600"))
	return err
}

func shell(argv ...string) map[string]any { return map[string]any{"kind": "shell", "argv": argv} }

func eventually(ctx context.Context, patience, pause time.Duration, check func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return errors.Join(context.Cause(ctx), err)
		}
		time.Sleep(pause)
	}
}
