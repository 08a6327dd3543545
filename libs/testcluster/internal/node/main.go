// Command node is the first process of the namespaces that a test cluster lives
// in. It starts and kills the cluster's components as the test process says, and
// when that goes, however it goes, it ends everything and removes what is left.
//
//	node -dir DIRECTORY -cgroup NAME
//
// Its file descriptor 3 is the lock that allows one cluster on a machine: it is
// held until all is removed.
package main

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/rpc"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	dir := flag.String("dir", "", "the directory of the cluster, removed at the end")
	group := flag.String("cgroup", "", "the cgroup of all pods, removed at the end")
	flag.Parse()
	syscall.CloseOnExec(3)
	if err := run(*dir, *group, log); err != nil {
		log.Error("the node failed", "error", err)
		os.Exit(1)
	}
}

func run(dir, group string, log *slog.Logger) error {
	if os.Getpid() != 1 {
		return errors.New("this is no process to run by hand: it kills all that it sees")
	}
	groups, err := makeCgroups(group)
	if err == nil {
		err = prepare(dir)
	}
	if err != nil {
		return errors.Join(err, removeCgroups(groups))
	}
	node := &Node{dir: dir, children: newChildren()}
	server := rpc.NewServer()
	if err := server.Register(node); err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.ServeConn(stdio{os.Stdin, os.Stdout})
	}()
	select {
	case <-served:
	case s := <-ended:
		log.Info("ended by a signal", "signal", s.String())
	}
	return node.end(groups)
}

// stdio is the connection to the test process.
type stdio struct {
	io.ReadCloser
	io.Writer
}
