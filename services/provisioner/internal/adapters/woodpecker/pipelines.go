package woodpecker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// perPage is how many pipelines the CI tells of at a time, which is the most that it does.
const perPage = 50

// of finds the CI's repository of a project. Another repository may have its id: the CI may
// have been set up anew.
func (s *Server) of(ctx context.Context, of app.CIOf) (repository, error) {
	var found repository
	id, err := strconv.ParseInt(of.ID, 10, 64)
	if err != nil {
		return found, fmt.Errorf("%q is no id of a repository in the CI: %w", of.ID, err)
	}
	err = s.get(ctx, repositoryPath(id), nil, &found)
	switch {
	case isStatus(err, http.StatusNotFound):
		return found, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("the CI does not have its repository %d any more", id)}
	case err == nil && (found.ID != id || of.Forge != "" && found.ForgeRemoteID != of.Forge):
		return found, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("the CI's repository %d is not the project's any more", id)}
	}
	return found, err
}

func pipelinePath(in repository, number int64) string {
	return repositoryPath(in.ID) + "/pipelines/" + strconv.FormatInt(number, 10)
}

// orNotFound is an error about something of a repository that may not be there.
func orNotFound(err error) error {
	if isStatus(err, http.StatusNotFound) {
		return contract.ErrNotFound
	}
	return err
}

// Get implements app.Pipelines.
func (s *Server) Get(ctx context.Context, of app.CIOf, number int64) (contract.Pipeline, error) {
	in, err := s.of(ctx, of)
	if err != nil {
		return contract.Pipeline{}, err
	}
	var found pipeline
	if err := s.get(ctx, pipelinePath(in, number), nil, &found); err != nil {
		return contract.Pipeline{}, orNotFound(err)
	}
	return s.whole(in, found), nil
}

// Run implements app.Pipelines.
func (s *Server) Run(ctx context.Context, of app.CIOf, run contract.RunPipeline) (contract.PipelineStarted, error) {
	in, err := s.of(ctx, of)
	if err != nil {
		return contract.PipelineStarted{}, err
	}
	if run.Branch == "" {
		run.Branch = in.DefaultBranch
	}
	variables := maps.Clone(run.Variables)
	if run.Request != "" {
		before, ok, err := s.started(ctx, in, run)
		if err != nil || ok {
			return contract.PipelineStarted{Pipeline: s.whole(in, before), Replayed: ok}, err
		}
		if variables == nil {
			variables = map[string]string{}
		}
		variables[app.RequestVariable] = run.Request
	}
	var made pipeline
	body := map[string]any{"branch": run.Branch, "variables": variables}
	status, err := s.call(ctx, http.MethodPost, repositoryPath(in.ID)+"/pipelines", nil, body, &made)
	answer, refused := errors.AsType[*answerError](err)
	switch {
	case refused && answer.status == http.StatusInternalServerError && answer.text == "":
		return contract.PipelineStarted{}, failure(contract.ClassUser, "the CI cannot start a pipeline of the branch %s: the branch may not exist", run.Branch)
	case err != nil:
		return contract.PipelineStarted{}, fmt.Errorf("start a pipeline of %s: %w", in.FullName, err)
	case status == http.StatusNoContent:
		return contract.PipelineStarted{}, failure(contract.ClassUser,
			"the branch %s has no pipeline for the event manual: its .woodpecker.yml has to say when: event: [push, manual]", run.Branch)
	}
	return contract.PipelineStarted{Pipeline: s.whole(in, made)}, nil
}

// started finds the pipeline that a request has started before: the oldest, for one that
// was run again has all variables of the first.
func (s *Server) started(ctx context.Context, in repository, run contract.RunPipeline) (pipeline, bool, error) {
	newest, err := s.page(ctx, in, 1, url.Values{"event": {"manual"}})
	if err != nil {
		return pipeline{}, false, err
	}
	for _, p := range slices.Backward(newest) {
		if p.Variables[app.RequestVariable] != run.Request {
			continue
		}
		theirs := maps.Clone(p.Variables)
		delete(theirs, app.RequestVariable)
		if p.Branch != run.Branch || !maps.Equal(theirs, run.Variables) {
			return p, false, &contract.Error{Code: contract.CodeIdempotencyMismatch, Detail: fmt.Sprintf("the Idempotency-Key was used for another request, which started pipeline %d", p.Number)}
		}
		return p, true, nil
	}
	return pipeline{}, false, nil
}

// Rerun implements app.Pipelines.
func (s *Server) Rerun(ctx context.Context, of app.CIOf, number int64) (contract.Pipeline, error) {
	in, err := s.of(ctx, of)
	if err != nil {
		return contract.Pipeline{}, err
	}
	var made pipeline
	if _, err := s.call(ctx, http.MethodPost, pipelinePath(in, number), nil, nil, &made); err != nil {
		return contract.Pipeline{}, orNotFound(err)
	}
	return s.whole(in, made), nil
}

// Cancel implements app.Pipelines.
func (s *Server) Cancel(ctx context.Context, of app.CIOf, number int64) error {
	in, err := s.of(ctx, of)
	if err != nil {
		return err
	}
	_, err = s.call(ctx, http.MethodPost, pipelinePath(in, number)+"/cancel", nil, nil, nil)
	return orNotFound(err)
}

// Logs implements app.Pipelines.
func (s *Server) Logs(ctx context.Context, of app.CIOf, number, step int64) ([]string, error) {
	in, err := s.of(ctx, of)
	if err != nil {
		return nil, err
	}
	var entries []struct {
		Data []byte `json:"data"` // base64
	}
	path := repositoryPath(in.ID) + "/logs/" + strconv.FormatInt(number, 10) + "/" + strconv.FormatInt(step, 10)
	if err := s.get(ctx, path, nil, &entries); err != nil {
		return nil, orNotFound(err)
	}
	var lines []string
	for _, entry := range entries {
		lines = append(lines, strings.TrimSuffix(strings.TrimSuffix(string(entry.Data), "\n"), "\r"))
	}
	return lines, nil
}
