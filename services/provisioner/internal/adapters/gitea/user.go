package gitea

import (
	"crypto/rand"
	"net/http"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
)

// newPassword is a password that all rules for passwords allow.
func newPassword() string { return rand.Text() + strings.ToLower(rand.Text()) + "-0" }

// user finds the project's user, nil where there is none, or where the one of its name has no
// mark. Who is no administrator may see no addresses: to them the full name is the mark.
func (s *session) user(slug string, administrator bool) (user *sdk.User, foreign bool, err error) {
	name := s.forge.userOf(slug)
	user, response, err := s.GetUserInfo(name)
	if status(response) == http.StatusNotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, failed("look for the user "+name, response, err)
	}
	if user.FullName != s.forge.fullNameOf(slug) || administrator && user.Email != s.forge.addressOf(slug) {
		return nil, true, nil
	}
	return user, false, nil
}

// makeUser makes the project's user, or finds it, and returns its name.
func (s *session) makeUser(slug, password string) (string, error) {
	name := s.forge.userOf(slug)
	user, foreign, err := s.user(slug, true)
	if err != nil {
		return "", err
	}
	if foreign {
		return "", failure(contract.ClassUser, "a user %s is there, and is not this installation's: its full name is not %q, or its address not %s: rename it",
			name, s.forge.fullNameOf(slug), s.forge.addressOf(slug))
	}
	if user != nil {
		return user.UserName, nil
	}
	limited, no := sdk.VisibleTypeLimited, false
	made, response, err := s.AdminCreateUser(sdk.CreateUserOption{
		Username: name, FullName: s.forge.fullNameOf(slug), Email: s.forge.addressOf(slug), Password: password,
		MustChangePassword: &no, Visibility: &limited,
	})
	if err != nil {
		return "", failed("make the user "+name, response, err)
	}
	return made.UserName, nil
}

// userOptions are those of a user who gets into one repository, and makes nothing.
func (s *session) userOptions(slug, user, password string) sdk.EditUserOption {
	yes, no, none, limited := true, false, 0, sdk.VisibleTypeLimited
	fullName := s.forge.fullNameOf(slug)
	return sdk.EditUserOption{
		LoginName: user, FullName: &fullName, Password: password, MustChangePassword: &no, Active: &yes, ProhibitLogin: &no,
		Restricted: &yes, Admin: &no, AllowGitHook: &no, AllowImportLocal: &no, AllowCreateOrganization: &no,
		MaxRepoCreation: &none, Visibility: &limited,
	}
}

// removeUserKeys removes the SSH keys of a user, which has got none from us.
func (s *session) removeUserKeys(user string) error {
	keys, err := all("list the keys of the user "+user, func(page sdk.ListOptions) ([]*sdk.PublicKey, *sdk.Response, error) {
		return s.ListPublicKeys(user, sdk.ListPublicKeysOptions{ListOptions: page})
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		response, err := s.AdminDeleteUserPublicKey(user, int(key.ID))
		if err := gone("remove a key of the user "+user, response, err); err != nil {
			return err
		}
	}
	return nil
}

// removeUser removes the project's user, and the forks that the project's commands made of its
// repository. It does not purge the user, which would remove whatever somebody gave it.
func (s *session) removeUser(user string, f found) error {
	response, err := s.AdminDeleteUser(user)
	if status(response) == http.StatusUnprocessableEntity {
		if err := s.removeForks(user, f); err != nil {
			return err
		}
		if err := s.leaveOrganizations(user); err != nil {
			return err
		}
		response, err = s.AdminDeleteUser(user)
	}
	if status(response) == http.StatusUnprocessableEntity {
		return failure(contract.ClassUser, "the user %s cannot be removed, Gitea says: %v: give what it owns to somebody else", user, err)
	}
	return gone("remove the user "+user, response, err)
}

// removeForks removes what a user has forked of a repository. Gitea lets it do so, however
// few repositories it may make.
func (s *session) removeForks(user string, f found) error {
	if f.Repository == nil {
		return nil
	}
	repositories, err := all("list the repositories of the user "+user, func(page sdk.ListOptions) ([]*sdk.Repository, *sdk.Response, error) {
		return s.ListUserRepos(user, sdk.ListReposOptions{ListOptions: page})
	})
	if err != nil {
		return err
	}
	for _, fork := range repositories {
		if fork.Parent == nil || fork.Parent.ID != f.ID || !strings.EqualFold(fork.Owner.UserName, user) {
			continue
		}
		response, err := s.DeleteRepo(fork.Owner.UserName, fork.Name)
		if err := gone("remove the fork "+fork.FullName, response, err); err != nil {
			return err
		}
	}
	return nil
}

// leaveOrganizations takes a user out of all that somebody took it into.
func (s *session) leaveOrganizations(user string) error {
	organizations, err := all("list the organizations of the user "+user, func(page sdk.ListOptions) ([]*sdk.Organization, *sdk.Response, error) {
		return s.ListUserOrgs(user, sdk.ListOrgsOptions{ListOptions: page})
	})
	if err != nil {
		return err
	}
	for _, organization := range organizations {
		response, err := s.DeleteOrgMembership(organization.Name, user)
		if err := gone("take the user "+user+" out of "+organization.Name, response, err); err != nil {
			return err
		}
	}
	return nil
}

// removeCollaborator takes the project's user out of a repository.
func (s *session) removeCollaborator(slug string, f found) error {
	user, _, err := s.user(slug, false)
	if err != nil || user == nil {
		return err
	}
	response, err := s.DeleteCollaborator(f.Owner.UserName, f.Name, user.UserName)
	return gone("take the user "+user.UserName+" out of "+f.FullName, response, err)
}
