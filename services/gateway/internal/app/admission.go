package app

import (
	"context"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// roomAgain is after how long to ask again where too much waits: how fast that gets
// less depends on what it is.
const roomAgain = 5 * time.Second

// Room is how many operations may wait for their turn; 0 is without limit.
type Room struct {
	Project int // in each project
	All     int
}

// Queue is what waits, as far as this gateway has read the log.
type Queue interface {
	Waiting() int
	// WaitingFor is how many operations wait for a lane; of work, of those of a project.
	WaitingFor(lane contract.Lane, project string) int
}

// ahead are operations of a request that come before others of it, and are in no queue
// yet.
type ahead struct {
	all  int
	of   map[string]int              // projects
	read map[string]contract.Project // as it was for them
}

// reading is read, but for projects that were read for the request before.
func (a *ahead) reading(read func(context.Context, string) (contract.Project, error)) func(context.Context, string) (contract.Project, error) {
	return func(ctx context.Context, slug string) (contract.Project, error) {
		if project, known := a.read[slug]; known {
			return project, nil
		}
		project, err := read(ctx, slug)
		if err == nil {
			if a.read == nil {
				a.read = map[string]contract.Project{}
			}
			a.read[slug] = project
		}
		return project, err
	}
}

func (a *ahead) add(project string) {
	if a.of == nil {
		a.of = map[string]int{}
	}
	a.all++
	a.of[project]++
}

// requireRoom refuses an operation with RATE_LIMITED where too many wait.
func (a *App) requireRoom(lane contract.Lane, project string, before ahead) error {
	refused := func(where string, most int) error {
		return &contract.Error{
			Code: contract.CodeRateLimited, RetryAfter: roomAgain,
			Detail: fmt.Sprintf("%s has %d operations that wait, which is all that may; ask again when some have ended, or cancel some", where, most),
		}
	}
	switch {
	case a.Room.All > 0 && a.Queue.Waiting()+before.all >= a.Room.All:
		return refused("this installation", a.Room.All)
	case a.Room.Project > 0 && a.Queue.WaitingFor(lane, project)+before.of[project] >= a.Room.Project:
		return refused("project "+project, a.Room.Project)
	}
	return nil
}
