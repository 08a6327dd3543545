package executor

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	pods "github.com/orchard9/rdev/services/executor/internal/adapters/kube"
	"github.com/orchard9/rdev/services/executor/internal/adapters/local"
	"github.com/orchard9/rdev/services/executor/internal/app"
)

// openRuntime opens what the configuration asks for, until ctx is done.
func openRuntime(ctx context.Context, cfg Config, log *slog.Logger) (app.Runtime, error) {
	switch cfg.Runtime {
	case "", contract.RuntimeLocal:
		return local.New(ctx, local.Config{
			Runner: cfg.Runner, Path: cfg.Path, Readable: cfg.Readable, AllowUnconfined: cfg.AllowUnconfined,
		})
	case contract.RuntimeKube:
		cluster, err := kube.Connect(cfg.Kubeconfig)
		if err != nil {
			return nil, err
		}
		return pods.New(ctx, pods.Config{
			Cluster: cluster, Namespace: cfg.KubeNamespace, Path: cfg.Path, Patience: cfg.PodPatience, Log: log,
		})
	}
	return nil, fmt.Errorf("EXECUTOR_RUNTIME: %q is neither %s nor %s", cfg.Runtime, contract.RuntimeLocal, contract.RuntimeKube)
}
