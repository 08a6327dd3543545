package app

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/orchard9/rdev/libs/contract"
)

// Bounds of what a pipeline is started with.
const (
	maxBranch        = 255
	maxVariables     = 100
	maxVariableBytes = 64 << 10 // names and values
)

// RequestVariable is the variable in which a pipeline has the request that started it.
const RequestVariable = "RDEV_REQUEST"

var variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// RunPipeline starts a pipeline of a project. The same request starts one.
func (a *App) RunPipeline(ctx context.Context, request contract.RunPipeline) (contract.PipelineStarted, error) {
	if err := checkPipeline(request); err != nil {
		return contract.PipelineStarted{}, err
	}
	of, err := a.ciToStart(ctx, request.Project)
	if err != nil {
		return contract.PipelineStarted{}, err
	}
	started, err := a.Pipelines.Run(ctx, of, request)
	return started, ofCI(err, "CI of project "+request.Project)
}

// RerunPipeline starts a pipeline of a project once more, each time that it is asked to.
func (a *App) RerunPipeline(ctx context.Context, request contract.GetPipeline) (contract.Pipeline, error) {
	of, err := a.ciToStart(ctx, request.Project)
	if err != nil {
		return contract.Pipeline{}, err
	}
	pipeline, err := a.Pipelines.Rerun(ctx, of, request.Number)
	return pipeline, ofCI(err, pipelineOf(request.Project, request.Number))
}

// ciToStart is ciOf of a project in which something may be started.
func (a *App) ciToStart(ctx context.Context, slug string) (CIOf, error) {
	project, err := readProject(ctx, a.Projects, slug)
	if err != nil {
		return CIOf{}, err
	}
	if project != nil && project.State == contract.ProjectDeleting {
		return CIOf{}, &contract.Error{Code: contract.CodeConflict, Detail: "project " + slug + " is being deleted"}
	}
	return a.ciOf(ctx, slug)
}

func checkPipeline(request contract.RunPipeline) error {
	found := fields{}
	if len(request.Branch) > maxBranch || strings.HasPrefix(request.Branch, "-") || strings.ContainsFunc(request.Branch, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}) {
		found.wrong("branch", "must be the name of a branch")
	}
	bytes, names := 0, make([]string, 0, len(request.Variables))
	for name, value := range request.Variables {
		bytes += len(name) + len(value)
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch {
		case !variablePattern.MatchString(name):
			found.wrong("variables", "has a name that is not 1 to 128 of A-Z, a-z, 0-9 and _, or begins with a digit")
		case name == RequestVariable:
			found.wrong("variables", "must not have "+RequestVariable+", which is set by rdev")
		}
	}
	if len(names) > maxVariables || bytes > maxVariableBytes {
		found.wrong("variables", fmt.Sprintf("must be at most %d, of %d bytes in all", maxVariables, maxVariableBytes))
	}
	return found.err()
}
