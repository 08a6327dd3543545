package provisioner

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	projects "github.com/orchard9/rdev/services/provisioner/internal/adapters/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/local"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Pods is how the pods of projects, and of workers, are made. Quantities are as Kubernetes writes
// them, as 500m and 2Gi.
type Pods struct {
	// Kubeconfig is how the cluster is reached; empty within it.
	Kubeconfig string `env:"KUBECONFIG"`
	// Namespace is where the pods are. It has to be there.
	Namespace string `env:"KUBE_NAMESPACE" envDefault:"rdev-projects"`
	// Image is that of the pods, which holds rdev-runner, git and an agent's CLI: see deployments/docker.
	Image string `env:"POD_IMAGE"`
	// PullPolicy is Always, IfNotPresent or Never; the cluster's default where empty.
	PullPolicy string `env:"POD_PULL_POLICY"`
	// PullSecret is a Secret of the namespace with which the image is fetched.
	PullSecret string `env:"POD_PULL_SECRET"`
	// RuntimeClass chooses how pods are isolated, as gvisor; the cluster's default where empty.
	RuntimeClass string `env:"POD_RUNTIME_CLASS"`
	// StorageClass of the volumes, the cluster's default where empty; Storage is their size.
	StorageClass string `env:"POD_STORAGE_CLASS"`
	Storage      string `env:"POD_STORAGE" envDefault:"10Gi"`
	// CPURequest is what a pod is sure to get, CPULimit the most, empty for no limit.
	CPURequest string `env:"POD_CPU_REQUEST" envDefault:"250m"`
	CPULimit   string `env:"POD_CPU_LIMIT"`
	// MemoryLimit is also the request: a pod is never evicted for its memory.
	MemoryLimit string `env:"POD_MEMORY" envDefault:"2Gi"`
	// Ephemeral bounds what is written beside the volume, as in /tmp.
	Ephemeral string `env:"POD_EPHEMERAL_STORAGE" envDefault:"2Gi"`
	// Patience is how long a pod may take to become ready, or to go.
	Patience time.Duration `env:"POD_PATIENCE" envDefault:"2m"`
}

// openWorkspaces opens what the configuration asks for. The caller closes it.
func openWorkspaces(cfg Config, log *slog.Logger) (_ app.Workspaces, closeAll func(), err error) {
	switch cfg.Runtime {
	case "", contract.RuntimeLocal:
		if cfg.Workspaces == "" {
			return nil, nil, errors.New("PROVISIONER_WORKSPACES: a local runtime needs a directory for its workspaces")
		}
		workspaces, err := local.Open(cfg.Workspaces)
		if err != nil {
			return nil, nil, err
		}
		return workspaces, func() { _ = workspaces.Close() }, nil // holds nothing that could be lost
	case contract.RuntimeKube:
		workspaces, err := cfg.Pods.open(log)
		return workspaces, func() {}, err
	}
	return nil, nil, fmt.Errorf("PROVISIONER_RUNTIME: %q is neither %s nor %s", cfg.Runtime, contract.RuntimeLocal, contract.RuntimeKube)
}

func (p Pods) open(log *slog.Logger) (app.Workspaces, error) {
	cfg, err := p.config(log)
	if err != nil {
		return nil, err
	}
	return projects.New(cfg)
}

// config is that of the pods of projects and of workers.
func (p Pods) config(log *slog.Logger) (projects.Config, error) {
	cluster, err := kube.Connect(p.Kubeconfig)
	if err != nil {
		return projects.Config{}, err
	}
	return projects.Config{
		Cluster: cluster, Namespace: p.Namespace, Patience: p.Patience, Log: log,
		Template: projects.Template{
			Image: p.Image, PullPolicy: p.PullPolicy, PullSecret: p.PullSecret, RuntimeClass: p.RuntimeClass,
			StorageClass: p.StorageClass, Storage: p.Storage, CPURequest: p.CPURequest, CPULimit: p.CPULimit,
			MemoryLimit: p.MemoryLimit, Ephemeral: p.Ephemeral,
		},
	}, nil
}
