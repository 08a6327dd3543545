package app

import (
	"context"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// Step makes a part of a project, and removes it again. An attempt may die at any line:
// so each of its methods may be called again, whatever became of the call before, and
// what it makes has a mark by which it knows it.
type Step interface {
	Name() string
	// Needs are the names of the steps that come before it, where they are among those of
	// the operation. What needs a part that changes is applied again.
	Needs() []string
	// Plan tells what is to be done, and what about: it changes nothing. What is there and
	// is not to be touched is an error, as is what cannot be had at all.
	Plan(ctx context.Context, t Task) (action contract.ProvisionAction, what string, err error)
	// Apply makes it, or finds what a call before has made, and tells what it is called
	// where it is. Of what the project has already it makes again what is missing, and a
	// new secret.
	Apply(ctx context.Context, t Task) (external map[string]string, err error)
	// Undo removes what Apply made, or may have, also where another operation had it done.
	// Where there is nothing that is fine.
	Undo(ctx context.Context, t Task) error
	// Verify lists what is not as it is to be, in words. It changes nothing.
	Verify(ctx context.Context, t Task) (differences []string, err error)
}

// Task is what a step is asked for.
type Task struct {
	Op   contract.Operation
	Slug string
	// Spec is what the project is to have, with all hosts in full.
	Spec contract.ProjectSpec
	// of is what the steps before it have where they are.
	of func(step string) map[string]string
}

// Of is what a part of the project, as a step has made it, has where it is; nil where
// there is none.
func (t Task) Of(step string) map[string]string { return t.of(step) }

// Optional is a Step that only the projects have which ask for it. before is what the
// project was to have before the operation, without a slug where it was not there.
type Optional interface {
	Asked(before, target contract.ProjectSpec) bool
}

// Releaser is a Step whose part can stay when the project goes. One that adopts what was there
// before is a Releaser.
type Releaser interface {
	// Release takes the mark off the part, and what it was given: it is the project's no more.
	Release(ctx context.Context, t Task) error
}

// Family is steps of one kind, one for each subject. Their names are <name>/<subject>.
type Family struct {
	Name     string
	Subjects func(before, target contract.ProjectSpec) []string
	Step     func(subject string) Step
}

// StepError is an error of a step that knows whose fault it is. Any other is the
// infrastructure's, and the step is tried again.
type StepError struct {
	Failure *contract.Failure
	// Final is true where the step has tried for as long as makes sense.
	Final bool
}

// Error implements error.
func (e *StepError) Error() string { return e.Failure.Message }

// refusal is an error that the user can mend, and that is no use to try again.
func refusal(format string, args ...any) error {
	return &StepError{Failure: contract.NewFailure(contract.ClassUser, format, args...)}
}

// unavailable is that the installation has no such thing, and what to do.
func unavailable(things, remedy string) error {
	return refusal("%s are not available on this installation: %s", things, remedy)
}

// wanted are the steps that a project has which is to become target, and was before.
func (a *App) wanted(before, target contract.ProjectSpec) (steps []Step) {
	for _, step := range a.Steps {
		if optional, ok := step.(Optional); !ok || optional.Asked(before, target) {
			steps = append(steps, step)
		}
	}
	for _, family := range a.Families {
		for _, subject := range family.Subjects(before, target) {
			steps = append(steps, family.Step(subject))
		}
	}
	return steps
}

// step is the one of a name. The log may have been written by another version.
func (a *App) step(name string) (Step, error) {
	if i := slices.IndexFunc(a.Steps, func(s Step) bool { return s.Name() == name }); i >= 0 {
		return a.Steps[i], nil
	}
	kind, subject, _ := strings.Cut(name, "/")
	if i := slices.IndexFunc(a.Families, func(f Family) bool { return f.Name == kind }); i >= 0 && subject != "" {
		return a.Families[i].Step(subject), nil
	}
	return nil, &StepError{Failure: contract.NewFailure(contract.ClassUnknown, "this version of rdev has no step %q", name)}
}
