package woodpecker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Activate implements app.CI.
func (s *Server) Activate(ctx context.Context, r app.Repository, secrets map[string]string) (app.CIRepository, error) {
	if r.ID == "" {
		return app.CIRepository{}, fmt.Errorf("activate %s: it has no id on the forge", r.Name)
	}
	known, ok, foreign, err := s.find(ctx, r)
	switch {
	case err != nil:
		return app.CIRepository{}, err
	case foreign:
		return app.CIRepository{}, failure(contract.ClassUser,
			"the CI has a repository %s already, of the repository %s of the forge and not of %s: remove it there", r.Name, known.ForgeRemoteID, r.ID)
	case !ok || !known.Active:
		if known, err = s.activate(ctx, r); err != nil {
			return app.CIRepository{}, err
		}
	}
	id := strconv.FormatInt(known.ID, 10)
	return app.CIRepository{ID: id, URL: s.base + "/repos/" + id}, s.keep(ctx, known, secrets)
}

// activate has the CI take a repository of the forge, or take it again.
func (s *Server) activate(ctx context.Context, r app.Repository) (repository, error) {
	for again := false; ; again = true {
		var made repository
		status, err := s.call(ctx, http.MethodPost, "/api/repos", url.Values{"forge_remote_id": {r.ID}}, nil, &made)
		if err == nil && made.ForgeRemoteID != r.ID {
			return made, fmt.Errorf("activate %s: the CI took the repository %s of the forge instead of %s", r.Name, made.ForgeRemoteID, r.ID)
		}
		answer, refused := errors.AsType[*answerError](err)
		switch {
		case err == nil:
			return made, nil
		case status == http.StatusForbidden:
			return made, failure(contract.ClassAuth, "the CI may not run the pipelines of %s: its user has to be an admin of the repository, and the CI has to allow its owner", r.Name)
		case !refused || answer.status != http.StatusConflict && answer.status != http.StatusInternalServerError:
			return made, fmt.Errorf("activate %s in the CI: %w", r.Name, err)
		}
		// Another may have been first, or an answer was lost.
		known, ok, _, lookupErr := s.find(ctx, r)
		switch {
		case lookupErr != nil:
			return made, lookupErr
		case ok && known.Active:
			return known, nil
		case answer.status == http.StatusConflict:
			return made, failure(contract.ClassUser, "the CI has the repository %s of the forge under another name than %s: have the CI repair it", r.ID, r.Name)
		case again && strings.Contains(answer.text, "Could not fetch repository from forge"):
			return made, failure(contract.ClassAuth, "the CI cannot see %s on the forge: the user of its token has to log in to the CI again, or has no rights on the repository", r.Name)
		case again:
			return made, fmt.Errorf("activate %s in the CI: %w", r.Name, err)
		}
		if err := wait(ctx, pause); err != nil {
			return made, err
		}
	}
}

// Release implements app.CI.
func (s *Server) Release(ctx context.Context, r app.Repository) error {
	found, ok, _, err := s.find(ctx, r)
	if err != nil || !ok {
		return err
	}
	return s.keep(ctx, found, nil)
}

// Remove implements app.CI.
func (s *Server) Remove(ctx context.Context, r app.Repository) error {
	found, ok, _, err := s.find(ctx, r)
	if err != nil || !ok {
		return err
	}
	_, err = s.call(ctx, http.MethodDelete, repositoryPath(found.ID), url.Values{"remove": {"true"}}, nil, nil)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("remove %s from the CI: %w", r.Name, err)
	}
	return nil
}
