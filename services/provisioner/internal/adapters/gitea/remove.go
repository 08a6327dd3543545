package gitea

import (
	"context"
	"net/http"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
)

// Remove implements app.Repositories. An own repository takes its deploy key, its webhook and
// its mark with it.
func (f *Forge) Remove(ctx context.Context, slug, adopt string) error {
	if adopt != "" {
		return f.Release(ctx, slug, adopt)
	}
	s, err := f.connect(ctx)
	if err != nil {
		return err
	}
	there, err := s.own(slug)
	if err != nil {
		return err
	}
	left, err := s.takeBack(slug, there)
	if err != nil {
		return err
	}
	switch there.state {
	case foreign, moved:
		return s.usable(slug, there)
	case marked, halfMade:
		response, err := s.DeleteRepo(there.Owner.UserName, there.Name)
		if err := gone("remove the repository "+there.FullName, response, err); err != nil {
			return err
		}
	case missing:
	}
	return left
}

// Release implements app.Repositories.
func (f *Forge) Release(ctx context.Context, slug, adopt string) error {
	s, err := f.connect(ctx)
	if err != nil {
		return err
	}
	var there found
	if adopt != "" {
		there, err = s.adopted(adopt)
	} else {
		there, err = s.own(slug)
	}
	if err != nil {
		return err
	}
	left, err := s.takeBack(slug, there)
	if err != nil {
		return err
	}
	if there.Repository != nil && (adopt != "" || there.state != foreign) {
		if err := s.unhook(there); err != nil {
			return err
		}
	}
	if adopt == "" && there.Repository != nil && there.state != foreign {
		if err := s.unmark(slug, there); err != nil {
			return err
		}
	}
	return left
}

// unmark makes a repository somebody else's: its topic goes last.
func (s *session) unmark(slug string, f found) error {
	if f.Description == s.forge.descriptionOf(slug) {
		none := ""
		if _, response, err := s.EditRepo(f.Owner.UserName, f.Name, sdk.EditRepoOption{Description: &none}); err != nil {
			return failed("change the description of "+f.FullName, response, err)
		}
	}
	for _, topic := range []string{generic, s.forge.topicOf(slug)} {
		response, err := s.DeleteRepoTopic(f.Owner.UserName, f.Name, topic)
		// 422 is of a topic that it does not have.
		if err != nil && status(response) != http.StatusUnprocessableEntity {
			if err := gone("take the mark off "+f.FullName, response, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeBack takes back what Grant gave. left is what only an administrator can.
func (s *session) takeBack(slug string, f found) (left, err error) {
	administrator, err := s.administrator()
	if err != nil {
		return nil, err
	}
	if f.Repository != nil {
		if err := s.removeKeys(slug, f); err != nil {
			return nil, err
		}
	}
	user, _, err := s.user(slug, administrator)
	if err != nil || user == nil {
		return nil, err
	}
	if administrator {
		return nil, s.removeUser(user.UserName, f)
	}
	if f.Repository != nil {
		if err := s.removeCollaborator(slug, f); err != nil {
			return nil, err
		}
	}
	return failure(contract.ClassAuth, "the user %s is left, for only an administrator can remove it: set PROVISIONER_GITEA_TOKEN_FILE to the token of one, or remove it there", user.UserName), nil
}
