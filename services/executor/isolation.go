package executor

import (
	"context"

	"github.com/orchard9/rdev/services/executor/internal/adapters/local"
)

// Aspect is one way in which commands on this machine are kept apart from it.
type Aspect struct {
	Name   string `json:"name"`
	Level  string `json:"level"`
	Detail string `json:"detail,omitempty"`
}

// Isolation tells how far the local runtime confines commands on this machine,
// as the rdev-runner at a path finds out.
func Isolation(ctx context.Context, runner string) ([]Aspect, error) {
	runtime, err := local.New(ctx, local.Config{Runner: runner})
	if err != nil {
		return nil, err
	}
	level := runtime.Level()
	return []Aspect{
		{Name: "files", Level: level.Files},
		{Name: "processes", Level: level.Processes},
		{Name: "privileges", Level: level.Privileges},
		{Name: "network", Level: level.Network},
		{Name: "memory", Level: level.Memory},
	}, nil
}
