package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// executorsConfig is workers to announce, and projects that they work for.
type executorsConfig struct {
	NATS     string
	Workers  int
	Projects []string
}

// executorsReport is what was carried out. Ages are from when the gateway accepted it
// to when the log had acknowledged the event, in milliseconds.
type executorsReport struct {
	Completed                  int
	RunningP50, RunningP99     float64
	CompletedP50, CompletedP99 float64
}

// executors do with work what services/executor does, but for the process: they take
// commands, claim the operation, end it and acknowledge the command.
type executors struct {
	conn *bus.Conn

	mu                 sync.Mutex
	running, completed []float64
}

func workerName(n int) string { return "w" + strconv.Itoa(n+1) }

// serveExecutors announces the URL where GET / tells what was done and DELETE /
// forgets it; with ?ages it tells how long it took, too.
func serveExecutors(ctx context.Context, cfg executorsConfig, say announce) error {
	conn, err := bus.Connect(ctx, bus.Options{NATS: bus.Settings{URL: cfg.NATS}, Service: contract.ServiceExecutor, Log: logger()})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.AwaitStreams(ctx, logger()); err != nil {
		return err
	}
	e := &executors{conn: conn}
	if err := e.introduce(ctx, cfg); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", e.report)
	mux.HandleFunc("DELETE /", func(http.ResponseWriter, *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.running, e.completed = nil, nil
	})
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		ended <- conn.Work(ctx, context.WithoutCancel(ctx), contract.ConsumerExecutor, cfg.Workers, logger(), func(ctx context.Context, d bus.Delivery) error {
			return e.carryOut(ctx, d.Command)
		})
	}()
	err = listenAndSay(ctx, mux, say)
	return errors.Join(err, <-ended)
}

// introduce has the log know the workers, as an executor does, and the projects, as the
// provisioner does.
func (e *executors) introduce(ctx context.Context, cfg executorsConfig) error {
	now := time.Now().UTC()
	for n := range cfg.Workers {
		_, err := e.conn.UpdateWorker(ctx, workerName(n), func(*contract.Worker) (string, contract.Worker, error) {
			return contract.TypeWorkerReady, contract.Worker{
				ID: workerName(n), Runtime: contract.RuntimeLocal, Workspace: "/workers/" + workerName(n), CreatedAt: now,
			}, nil
		})
		if err != nil {
			return err
		}
	}
	for _, slug := range cfg.Projects {
		_, err := e.conn.UpdateProject(ctx, slug, func(*contract.Project) (string, contract.Project, error) {
			return contract.TypeProjectCreated, contract.Project{
				Slug: slug, Template: "default", Runtime: contract.RuntimeLocal, Workspace: "/srv/" + slug, CreatedAt: now, UpdatedAt: now,
			}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *executors) carryOut(ctx context.Context, cmd contract.RunOperation) error {
	mine := false
	op, err := e.conn.Update(ctx, cmd.Operation, func(op contract.Operation) (contract.Change, error) {
		now := time.Now().UTC()
		if mine = !op.State.Ended() && op.WorkFor(cmd.Worker, now); !mine {
			return nil, nil
		}
		return contract.OperationRunning{Attempt: op.Attempt + 1, Executor: e.conn.Instance(), Worker: cmd.Worker, At: now}, nil
	})
	if err != nil || !mine {
		return err
	}
	running := milliseconds(time.Since(op.CreatedAt))
	attempt, zero := op.Attempt, 0
	_, err = e.conn.Amend(ctx, op, func(op contract.Operation) (contract.Change, error) {
		if op.Attempt != attempt || op.State.Ended() {
			return nil, contract.ErrFenced
		}
		return contract.OperationCompleted{Attempt: attempt, ExitCode: &zero, At: time.Now().UTC()}, nil
	})
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running, e.completed = append(e.running, running), append(e.completed, milliseconds(time.Since(op.CreatedAt)))
	return nil
}

func (e *executors) report(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := executorsReport{Completed: len(e.completed)}
	if r.URL.Query().Has("ages") && found.Completed > 0 {
		found.RunningP50, found.RunningP99 = percentile(e.running, 0.5), percentile(e.running, 0.99)
		found.CompletedP50, found.CompletedP99 = percentile(e.completed, 0.5), percentile(e.completed, 0.99)
	}
	_ = json.NewEncoder(w).Encode(found)
}
