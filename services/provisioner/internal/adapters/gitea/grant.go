package gitea

import (
	"context"
	"net/http"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Grant implements app.Repositories: a user of the project's with a token, where the token of
// rdev is an administrator's, else a deploy key.
func (f *Forge) Grant(ctx context.Context, slug string, r app.Repository) (app.Access, error) {
	s, err := f.connect(ctx)
	if err != nil {
		return app.Access{}, err
	}
	there, err := s.known(r)
	if err != nil {
		return app.Access{}, err
	}
	// Whichever it was before, it is worth nothing any more.
	if err := s.removeKeys(slug, there); err != nil {
		return app.Access{}, err
	}
	administrator, err := s.administrator()
	if err != nil {
		return app.Access{}, err
	}
	if administrator {
		return s.grantUser(slug, there)
	}
	if err := s.removeCollaborator(slug, there); err != nil {
		return app.Access{}, err
	}
	return s.grantKey(slug, there)
}

// administrator tells whether the token makes users.
func (s *session) administrator() (bool, error) {
	_, response, err := s.AdminListUsers(sdk.AdminListUsersOptions{ListOptions: sdk.ListOptions{Page: 1, PageSize: 1}})
	if status(response) == http.StatusForbidden {
		return false, nil
	}
	if err != nil {
		return false, failed("ask whether the token of Gitea is an administrator's", response, err)
	}
	return true, nil
}

// grantUser lets the project's user into a repository, with a token that is new and its only
// one. Nobody knows its password.
func (s *session) grantUser(slug string, f found) (app.Access, error) {
	password := newPassword()
	user, err := s.makeUser(slug, password)
	if err != nil {
		return app.Access{}, err
	}
	if response, err := s.AdminEditUser(user, s.userOptions(slug, user, password)); err != nil {
		return app.Access{}, failed("set the rights of the user "+user, response, err)
	}
	if err := s.removeUserKeys(user); err != nil {
		return app.Access{}, err
	}
	write := sdk.AccessModeWrite
	if response, err := s.AddCollaborator(f.Owner.UserName, f.Name, user, sdk.AddCollaboratorOption{Permission: &write}); err != nil {
		return app.Access{}, failed("let the user "+user+" into "+f.FullName, response, err)
	}
	token, err := s.renewToken(user, password)
	return app.Access{User: user, Token: token}, err
}

// renewToken removes all tokens of a user, and makes one. Gitea wants its password for that.
func (s *session) renewToken(user, password string) (string, error) {
	as, err := s.forge.connectAs(s.ctx, sdk.SetBasicAuth(user, password))
	if err != nil {
		return "", err
	}
	for {
		tokens, response, err := as.ListAccessTokens(sdk.ListAccessTokensOptions{ListOptions: sdk.ListOptions{Page: 1, PageSize: pageSize}})
		if err != nil {
			return "", notIn("list the tokens of the user "+user, response, err)
		}
		if len(tokens) == 0 {
			break
		}
		for _, token := range tokens {
			response, err := as.DeleteAccessToken(token.ID)
			if err := gone("remove a token of the user "+user, response, err); err != nil {
				return "", err
			}
		}
	}
	// The scopes that the SDK has names for are those of older versions.
	token, response, err := as.CreateAccessToken(sdk.CreateAccessTokenOption{Name: generic, Scopes: []sdk.AccessTokenScope{"write:repository"}})
	if err != nil {
		return "", notIn("make a token of the user "+user, response, err)
	}
	return token.Token, nil
}

// notIn is failed for a user who comes with a password.
func notIn(what string, response *sdk.Response, err error) error {
	if status(response) == http.StatusUnauthorized || status(response) == http.StatusForbidden {
		return failure(contract.ClassUser, "%s: Gitea lets nobody in with a password: set ENABLE_BASIC_AUTHENTICATION there, or give rdev the token of one who is no administrator, who makes deploy keys", what)
	}
	return failed(what, response, err)
}
