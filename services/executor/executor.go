// Package executor is the service that runs commands: shell, git and agents, in
// the workspaces of projects, under rdev-runner.
package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/executor/internal/adapters/vault"
	"github.com/orchard9/rdev/services/executor/internal/agents"
	"github.com/orchard9/rdev/services/executor/internal/app"
)

// Config is all that the executor reads from its environment.
type Config struct {
	NATS     bus.Settings
	HTTPAddr string `env:"EXECUTOR_HTTP_ADDR"` // health and metrics; nothing where empty
	// Runtime is where commands run: local, on this machine, or kube, in the pods of
	// their projects. The provisioner has to be told the same.
	Runtime string `env:"EXECUTOR_RUNTIME" envDefault:"local"`
	// Runner is the path of the rdev-runner binary, on this machine.
	Runner string `env:"EXECUTOR_RUNNER" envDefault:"/usr/local/bin/rdev-runner"`
	// Kubeconfig is how the cluster is reached, empty within it, and KubeNamespace
	// where the pods of projects are.
	Kubeconfig    string `env:"KUBECONFIG"`
	KubeNamespace string `env:"KUBE_NAMESPACE" envDefault:"rdev-projects"`
	// PodPatience is how long a command waits for its project's pod.
	PodPatience time.Duration `env:"EXECUTOR_POD_PATIENCE" envDefault:"30s"`
	// Slots is how many commands run at a time in this process.
	Slots int `env:"EXECUTOR_SLOTS" envDefault:"16"`
	// Workers is how many workers of the work queue this machine has, and WorkersDir
	// where their files are; with Runtime kube they are pods, which the provisioner makes.
	Workers    int    `env:"EXECUTOR_WORKERS" envDefault:"2"`
	WorkersDir string `env:"EXECUTOR_WORKERS_DIR" envDefault:"/var/lib/rdev/workers"`
	// Timeout is the wall clock of a command that names none, AgentSilence how
	// long an agent may say nothing, Grace what is between TERM and KILL.
	Timeout      time.Duration `env:"EXECUTOR_TIMEOUT" envDefault:"1h"`
	AgentSilence time.Duration `env:"EXECUTOR_AGENT_SILENCE" envDefault:"5m"`
	Grace        time.Duration `env:"EXECUTOR_GRACE" envDefault:"10s"`
	// Progress is how often the log is told what an agent has used so far.
	Progress time.Duration `env:"EXECUTOR_PROGRESS" envDefault:"15s"`
	// MaxOutput is the most of a command's output that is kept, in bytes.
	MaxOutput int64 `env:"EXECUTOR_MAX_OUTPUT" envDefault:"268435456"`
	// EndRunsOnStop ends the commands of an executor that is told to stop; else
	// they go on, and another executor joins them.
	EndRunsOnStop bool `env:"EXECUTOR_END_RUNS_ON_STOP"`
	// AllowUnconfined runs commands even where this machine cannot confine them
	// to their files.
	AllowUnconfined bool `env:"EXECUTOR_ALLOW_UNCONFINED"`
	// Path is the PATH of commands, a usual one where empty.
	Path string `env:"EXECUTOR_PATH"`
	// Readable are more directories that a confined command may read.
	Readable []string `env:"EXECUTOR_READABLE"`
	// Files is the store of what work leaves and finds.
	Files blob.Settings

	Lease contract.Lease `env:"-"` // contract.DefaultLease where zero
}

// progress is Config.Progress where that is zero.
const progress = 15 * time.Second

// Run assembles the executor and serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if cfg.Lease == (contract.Lease{}) {
		cfg.Lease = contract.DefaultLease()
	}
	cfg.Progress = cmp.Or(cfg.Progress, progress)
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // the parts below need it while they stop
	defer end()
	runtime, err := openRuntime(life, cfg, log)
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{NATS: cfg.NATS, Service: "executor", Log: log})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.AwaitStreams(ctx, log); err != nil {
		return err
	}

	requests, err := conn.Serve(log)
	if err != nil {
		return err
	}
	if err := bus.Answer(requests, contract.VerbAgents, listAgents); err != nil {
		return err
	}

	secrets, err := vault.New(conn)
	if err != nil {
		return err
	}

	health := service.NewHealth("executor", prometheus.NewRegistry(), service.Check{Name: "nats", Check: conn.Ready})
	if cfg.Runtime == contract.RuntimeLocal {
		if err := app.AnnounceWorkers(ctx, conn, cfg.Workers, cfg.WorkersDir); err != nil {
			return err
		}
	}
	files, err := blob.Open(cfg.Files)
	if err != nil {
		return err
	}
	log.Info("serving", "instance", conn.Instance(), "slots", cfg.Slots)
	return service.Run(ctx,
		health.Part(cfg.HTTPAddr),
		service.Part{Name: "commands", Run: func(ctx context.Context) error {
			e := &app.Executor{
				Operations: conn, Projects: conn, Workers: conn, Signals: conn, Output: output{conn}, Runtime: runtime,
				Vault: secrets, Files: files, Log: log, Stopping: ctx,
				Settings: app.Settings{
					Instance: conn.Instance(), Lease: cfg.Lease, Timeout: cfg.Timeout, Silence: cfg.AgentSilence,
					Grace: cfg.Grace, Progress: cfg.Progress, MaxOutput: cfg.MaxOutput, EndRunsOnStop: cfg.EndRunsOnStop,
				},
			}
			return conn.Work(ctx, context.WithoutCancel(ctx), contract.ConsumerExecutor, cfg.Slots, log,
				func(ctx context.Context, d bus.Delivery) error {
					return settle(e.RunOperation(ctx, d.Command, d.Renew))
				})
		}},
	)
}

// settle tells the bus what the executor's errors mean for a command.
func settle(err error) error {
	switch {
	case errors.Is(err, app.ErrNoSuchOperation):
		return fmt.Errorf("%w: %w", bus.ErrPoison, err)
	case errors.Is(err, app.ErrAlreadyHere):
		return fmt.Errorf("%w: %w", bus.ErrLeaveUnacked, err)
	}
	return err
}

// output gives the bus's writer the type of the port.
type output struct{ conn *bus.Conn }

func (o output) OpenOutput(ctx context.Context, op contract.Operation) (app.OutputWriter, error) {
	return o.conn.OpenOutput(ctx, op)
}

func listAgents(context.Context, struct{}) (contract.AgentList, error) {
	var list contract.AgentList
	for _, driver := range agents.Providers() {
		info := driver.Info()
		traits, _ := contract.AgentNamed(info.Name)
		list.Agents = append(list.Agents, contract.AgentInfo{
			Name: info.Name, Package: info.Package, Version: info.Version, Binary: info.Binary,
			ReportsUsage: info.Usage, ReportsCost: traits.TellsCost, AsksPermissions: traits.Asks,
		})
	}
	return list, nil
}

// ParseAgent reads a recorded stream of an agent's CLI and writes its normalised
// events as JSON lines, the last of type result. exitCode is how the CLI ended,
// negative for a signal; nil stands for 0.
func ParseAgent(provider string, exitCode *int, in io.Reader, out io.Writer) error {
	return agents.Parse(provider, exitCode, in, out)
}
