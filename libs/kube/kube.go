// Package kube is what rdev's services have to agree on about Kubernetes: how
// the pods of projects are named and found, how a cluster is reached, and why a
// pod is not ready.
package kube

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Labels of pods. Whoever makes a pod with those of a project in the namespace of
// projects has rdev run that project's commands in it.
const (
	LabelProject   = "rdev.orchard9.ai/project"    // Project
	LabelProjectID = "rdev.orchard9.ai/project-id" // the project's slug
	// LabelRole and LabelWorkerID are those of a pod of the work queue.
	LabelRole     = "rdev.orchard9.ai/role"      // Worker
	LabelWorkerID = "rdev.orchard9.ai/worker-id" // the worker's id, and the pod's name
	// LabelManagedBy is on all that rdev made, and so may change and delete.
	LabelManagedBy = "app.kubernetes.io/managed-by"
)

// Values of labels.
const (
	Project   = "true"
	Worker    = "worker"
	ManagedBy = "rdev"
)

// What is where in a project's pod.
const (
	// Container is where programs run, of the containers that a project's pod has.
	Container = "workspace"
	// Runner is the path of rdev-runner in it.
	Runner = "/usr/local/bin/rdev-runner"
	// Volume is where the volume of the project is mounted, and Workspace where
	// its files are.
	Volume    = "/workspace"
	Workspace = Volume + "/project"
	// Port is where a program of the project listens that its routes lead to.
	Port = 8080
)

// NameOf names what belongs to a project: its StatefulSet, and so its pod.
func NameOf(slug string) string { return "project-" + slug }

// Connect reads how the cluster is reached: from a kubeconfig file, or, where
// path is empty, from the pod that this process runs in, or else from the files
// that kubectl would read.
func Connect(path string) (*rest.Config, error) {
	if path == "" {
		config, err := rest.InClusterConfig()
		if err == nil {
			return unlimited(config), nil
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return nil, fmt.Errorf("kubernetes: %w", err)
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("kubernetes: this is no pod, and there is no kubeconfig; set KUBECONFIG")
	}
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return unlimited(config), nil
}

// unlimited leaves it to the API server, who knows its load, to hold clients back:
// what a client would do by itself is five requests in a second.
func unlimited(config *rest.Config) *rest.Config {
	config.QPS = -1
	return config
}
