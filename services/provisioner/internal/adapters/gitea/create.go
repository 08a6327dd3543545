package gitea

import (
	"context"
	"net/http"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// firstBranch is the branch of repositories that are made here.
const firstBranch = "main"

// Create implements app.Repositories. What is adopted gets the webhook only.
func (f *Forge) Create(ctx context.Context, slug, adopt string) (r app.Repository, err error) {
	s, err := f.connect(ctx)
	if err != nil {
		return r, err
	}
	var there found
	if adopt != "" {
		if there, err = s.adopted(adopt); err == nil {
			err = adoptable(adopt, there)
		}
	} else {
		there, err = s.made(slug)
	}
	if err != nil {
		return r, err
	}
	return there.repository(), s.hook(there)
}

// made is a project's own repository, with its mark.
func (s *session) made(slug string) (found, error) {
	f, err := s.own(slug)
	if err == nil && f.state == missing {
		f, err = s.make(slug)
	}
	if err == nil {
		err = s.usable(slug, f)
	}
	if err != nil || f.state == marked {
		return f, err
	}
	for _, topic := range []string{generic, s.forge.topicOf(slug)} {
		if response, err := s.AddRepoTopic(f.Owner.UserName, f.Name, topic); err != nil {
			return f, failed("mark the repository "+f.FullName, response, err)
		}
	}
	return f, nil
}

// make makes a repository, and the organization first where there is none.
func (s *session) make(slug string) (found, error) {
	organization := s.forge.config.Organization
	name := organization + "/" + slug
	repository, response, err := s.makeIn(organization, slug)
	if status(response) == http.StatusNotFound {
		_, response, err = s.CreateOrg(sdk.CreateOrgOption{Name: organization, Visibility: sdk.VisibleTypePrivate})
		if err != nil && status(response) != http.StatusUnprocessableEntity { // which another made meanwhile
			return found{}, failed("make the organization "+organization, response, err)
		}
		repository, response, err = s.makeIn(organization, slug)
	}
	switch status(response) {
	case http.StatusNotFound:
		return found{}, failure(contract.ClassUser, "%s is not an organization in which the token of Gitea lets rdev make repositories: set PROVISIONER_GITEA_ORGANIZATION to another, or make the user of the token its owner", organization)
	case http.StatusConflict: // another made it meanwhile, or it is hidden
		f, err := s.own(slug)
		if err == nil && f.state == missing {
			err = failure(contract.ClassUser, "a repository %s is there, and the token of Gitea does not let rdev see it", name)
		}
		return f, err
	case http.StatusUnprocessableEntity:
		return found{}, failure(contract.ClassUser, "Gitea takes no repository %s: %v", name, err)
	}
	if err != nil {
		return found{}, failed("make the repository "+name, response, err)
	}
	return found{Repository: repository, state: halfMade}, nil
}

func (s *session) makeIn(organization, slug string) (*sdk.Repository, *sdk.Response, error) {
	return s.CreateOrgRepo(organization, sdk.CreateRepoOption{
		Name: slug, Description: s.forge.descriptionOf(slug), Private: true, DefaultBranch: firstBranch,
	})
}
