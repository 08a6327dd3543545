package components

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/orchard9/rdev/libs/cache"
)

// CoreDNS returns the path of a static CoreDNS, built once from libs/tools/coredns
// into dir, the cache. root is the root of this repository.
func CoreDNS(ctx context.Context, root, dir string, log *slog.Logger) (string, error) {
	const source = "cmd/coredns"
	module := filepath.Join(root, "libs/tools/coredns")
	key, err := buildKey(ctx, module, "go.mod", "go.sum", source+"/main.go")
	if err != nil {
		return "", err
	}
	into := filepath.Join(dir, "coredns-"+key)
	err = cache.Fill(ctx, into, func(partial string) error {
		start := time.Now()
		log.InfoContext(ctx, "building CoreDNS, once (up to three minutes on two cores)", "into", into)
		if _, err := run(ctx, module, []string{"GOWORK=off", "CGO_ENABLED=0"}, "nice", "-n", "5",
			"go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", partial+"/", "./"+source); err != nil {
			return err
		}
		log.InfoContext(ctx, "CoreDNS is built", "took", time.Since(start).Round(time.Second).String())
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("build CoreDNS: %w", err)
	}
	return filepath.Join(into, "coredns"), nil
}
