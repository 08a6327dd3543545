package woodpecker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// names are those of the secrets that rdev sets, in the CI's lower case: what a project
// has no more is removed. No others are.
func names() []string { return []string{nameOf(contract.DatabaseURL), nameOf(contract.CacheURL)} }

// nameOf is the name of a credential in the CI.
func nameOf(credential string) string { return strings.ToLower(credential) }

// events are those of pipelines that get the secrets. pull_request is none of them:
// whoever may send one could print them.
func events() []string { return []string{"push", "tag", "deployment", "manual", "cron"} }

// secret is one as the CI tells of it, or as it is told.
type secret struct {
	Name   string   `json:"name,omitempty"`
	Value  string   `json:"value,omitempty"` // never answered
	Events []string `json:"events"`
	Images []string `json:"images,omitempty"`
}

func secretPath(in repository, name string) string {
	return repositoryPath(in.ID) + "/secrets/" + url.PathEscape(name)
}

// keep has a repository have these secrets, and of those that rdev sets no others.
func (s *Server) keep(ctx context.Context, in repository, secrets map[string]string) error {
	wanted := map[string]bool{}
	for _, credential := range slices.Sorted(maps.Keys(secrets)) {
		name := nameOf(credential)
		wanted[name] = true
		if err := s.put(ctx, in, name, secrets[credential]); err != nil {
			return fmt.Errorf("set the secret %s of %s in the CI: %w", name, in.FullName, withoutValue(err, secrets[credential]))
		}
	}
	for _, name := range names() {
		if wanted[name] {
			continue
		}
		_, err := s.call(ctx, http.MethodDelete, secretPath(in, name), nil, nil, nil)
		if err != nil && !isStatus(err, http.StatusNotFound) {
			return fmt.Errorf("remove the secret %s of %s from the CI: %w", name, in.FullName, err)
		}
	}
	return nil
}

// put sets a secret. To make one that is there is a 500, so it asks first.
func (s *Server) put(ctx context.Context, in repository, name, value string) error {
	_, there, err := s.secret(ctx, in, name)
	if err != nil {
		return err
	}
	if !there {
		_, err = s.call(ctx, http.MethodPost, repositoryPath(in.ID)+"/secrets", nil, secret{Name: name, Value: value, Events: events(), Images: []string{}}, nil)
		if !isStatus(err, http.StatusInternalServerError) {
			return err
		}
		// Another may have made it meanwhile.
		if _, there, lookErr := s.secret(ctx, in, name); lookErr != nil || !there {
			return errors.Join(err, lookErr)
		}
	}
	_, err = s.call(ctx, http.MethodPatch, secretPath(in, name), nil, secret{Value: value, Events: events()}, nil)
	return err
}

func (s *Server) secret(ctx context.Context, in repository, name string) (found secret, ok bool, err error) {
	err = s.get(ctx, secretPath(in, name), nil, &found)
	if isStatus(err, http.StatusNotFound) {
		return found, false, nil
	}
	return found, err == nil, err
}

// withoutValue is an error that does not repeat a value, where the CI does.
func withoutValue(err error, value string) error {
	if answer, ok := errors.AsType[*answerError](err); ok && value != "" && strings.Contains(answer.text, line([]byte(value))) {
		return &answerError{status: answer.status}
	}
	return err
}

// Verify implements app.CI.
func (s *Server) Verify(ctx context.Context, r app.Repository, secrets []string) ([]string, error) {
	found, ok, foreign, err := s.find(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case foreign:
		return []string{fmt.Sprintf("the CI has the repository %s of the forge as %s, and not %s", found.ForgeRemoteID, r.Name, r.ID)}, nil
	case !ok:
		return []string{"the CI does not have " + r.Name}, nil
	}
	var differences []string
	if !found.Active {
		differences = append(differences, "no pipelines run for "+r.Name)
	}
	wanted := map[string]bool{}
	for _, credential := range secrets {
		wanted[nameOf(credential)] = true
	}
	all := slices.Compact(slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(wanted)), names()...))))
	for _, name := range all {
		have, there, err := s.secret(ctx, found, name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("read the secret %s of %s in the CI: %w", name, r.Name, err)
		case there && !wanted[name]:
			differences = append(differences, "the CI has a secret "+name+" which the project has not")
		case !there && wanted[name]:
			differences = append(differences, "the CI does not have the secret "+name)
		case there && !slices.Equal(slices.Sorted(slices.Values(have.Events)), slices.Sorted(slices.Values(events()))):
			differences = append(differences, fmt.Sprintf("the secret %s is for %s, and not for %s", name, strings.Join(have.Events, ", "), strings.Join(events(), ", ")))
		}
	}
	return differences, nil
}
