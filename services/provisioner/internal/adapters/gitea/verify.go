package gitea

import (
	"context"
	"fmt"
	"net/http"

	sdk "code.gitea.io/sdk/gitea"
)

// Verify implements app.Repositories.
func (f *Forge) Verify(ctx context.Context, slug, adopt string) (differences []string, err error) {
	s, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	var there found
	name := adopt
	if adopt != "" {
		there, err = s.adopted(adopt)
	} else {
		name = f.config.Organization + "/" + slug
		there, err = s.own(slug)
	}
	if err != nil {
		return nil, err
	}
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	switch {
	case there.Repository == nil:
		differ("the repository %s is missing", name)
		return differences, nil
	case there.state == moved:
		differ("the repository %s has become %s", name, there.FullName)
	case adopt == "" && there.state != marked:
		differ("the repository %s lacks the topic %s", there.FullName, f.topicOf(slug))
	}
	if there.Archived {
		differ("the repository %s is archived", there.FullName)
	}
	if f.config.Hook != nil {
		hooks, err := s.hooks(there)
		if err != nil {
			return nil, err
		}
		if len(hooks) != 1 || !hooks[0].Active {
			differ("the repository %s has no webhook for %s, or an inactive one, or more than one", there.FullName, f.config.Hook.URL)
		}
	}
	access, err := s.verifyAccess(slug, there)
	return append(differences, access...), err
}

// verifyAccess tells what is amiss with what Grant gave.
func (s *session) verifyAccess(slug string, f found) (differences []string, err error) {
	administrator, err := s.administrator()
	if err != nil {
		return nil, err
	}
	if !administrator {
		keys, err := s.keys(slug, f)
		if err == nil && (len(keys) != 1 || keys[0].ReadOnly) {
			differences = append(differences, fmt.Sprintf("the repository %s has no deploy key %s that may write, or more than one", f.FullName, s.forge.topicOf(slug)))
		}
		return differences, err
	}
	user, foreign, err := s.user(slug, true)
	switch {
	case err != nil:
		return nil, err
	case foreign:
		return []string{fmt.Sprintf("the user %s lacks its full name %q, or its address %s", s.forge.userOf(slug), s.forge.fullNameOf(slug), s.forge.addressOf(slug))}, nil
	case user == nil:
		return []string{fmt.Sprintf("the user %s is missing", s.forge.userOf(slug))}, nil
	case !user.IsActive || user.ProhibitLogin:
		differences = append(differences, fmt.Sprintf("the user %s may not log in", user.UserName))
	case !user.Restricted || user.IsAdmin:
		differences = append(differences, fmt.Sprintf("the user %s is not restricted", user.UserName))
	}
	permission, response, err := s.CollaboratorPermission(f.Owner.UserName, f.Name, user.UserName)
	if err != nil && status(response) != http.StatusNotFound {
		return nil, failed("read the rights of the user "+user.UserName, response, err)
	}
	if permission == nil || permission.Permission != sdk.AccessModeWrite {
		differences = append(differences, fmt.Sprintf("the user %s is not a collaborator of %s who writes", user.UserName, f.FullName))
	}
	return differences, nil
}
