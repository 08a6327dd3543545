// Package protocol is what the test process and the first process of the
// cluster's namespaces say to each other: net/rpc over the latter's standard
// input and output. The end of that stream ends the cluster.
package protocol

// Process is a program to run in the cluster's namespaces.
type Process struct {
	Name string // of its log file, without .log
	Path string
	Args []string // without the program's own name
	Env  []string
}

// Result is how a process ended.
type Result struct {
	Code   int // its exit code; 128 and its signal where one ended it
	Output string
}

// Attachment is a pod's address. Package testcluster's enforcer of network
// policies serves, by net/rpc on a socket, Policies.Attach, which returns once
// the policies of the pod are in force, and Policies.Detach.
type Attachment struct {
	Namespace, Name, UID string // of the pod
	Address              string
}

// Layout is where things are in the directory of a cluster.
const (
	Logs    = "logs"    // of each component
	Volumes = "volumes" // a directory for each persistent volume
)
