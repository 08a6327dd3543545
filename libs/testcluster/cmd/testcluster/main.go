// Command testcluster runs the cluster of the tests by hand.
//
//	testcluster prepare    build and fetch what a cluster needs
//	testcluster up         start one with DNS and network policies, say where its kubeconfig is, and stop it at Ctrl-C
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/orchard9/rdev/libs/testcluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, strings.Join(os.Args[1:], " "), log); err != nil {
		fmt.Fprintln(os.Stderr, "testcluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, log *slog.Logger) error {
	switch command {
	case "prepare":
		return testcluster.Prepare(ctx, log)
	case "up":
		c, err := testcluster.Start(ctx, testcluster.Options{Log: log, DNS: true, NetworkPolicies: true})
		if err != nil {
			return err
		}
		log.InfoContext(ctx, "use it with", "kubectl", c.Kubectl()+" --kubeconfig "+c.Kubeconfig())
		<-ctx.Done()
		return c.Stop()
	}
	return errors.New("usage: testcluster prepare|up")
}
