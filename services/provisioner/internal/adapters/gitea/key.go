package gitea

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/crypto/ssh"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// grantKey lets whoever has a new key into a repository.
func (s *session) grantKey(slug string, f found) (app.Access, error) {
	public, private, err := newKey(s.forge.topicOf(slug))
	if err != nil {
		return app.Access{}, err
	}
	_, response, err := s.CreateDeployKey(f.Owner.UserName, f.Name, sdk.CreateKeyOption{Title: s.forge.topicOf(slug), Key: public})
	if status(response) == http.StatusUnprocessableEntity {
		return app.Access{}, failure(contract.ClassUser, "Gitea takes no deploy key for %s, it says: %v: give rdev the token of an administrator, who makes users", f.FullName, err)
	}
	if err != nil {
		return app.Access{}, failed("make the deploy key of "+f.FullName, response, err)
	}
	return app.Access{SSHURL: f.SSHURL, Key: private}, nil
}

// newKey is a key as an authorized_keys has it, and as OpenSSH keeps it.
func newKey(comment string) (public, private string, err error) {
	key, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(secret, comment)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	authorized, err := ssh.NewPublicKey(key)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	return string(ssh.MarshalAuthorizedKey(authorized)), string(pem.EncodeToMemory(block)), nil
}

// keys are the deploy keys of a repository that are the project's.
func (s *session) keys(slug string, f found) (ours []*sdk.DeployKey, err error) {
	keys, err := all("list the deploy keys of "+f.FullName, func(page sdk.ListOptions) ([]*sdk.DeployKey, *sdk.Response, error) {
		return s.ListDeployKeys(f.Owner.UserName, f.Name, sdk.ListDeployKeysOptions{ListOptions: page})
	})
	for _, key := range keys {
		if key.Title == s.forge.topicOf(slug) {
			ours = append(ours, key)
		}
	}
	return ours, err
}

func (s *session) removeKeys(slug string, f found) error {
	keys, err := s.keys(slug, f)
	if err != nil {
		return err
	}
	for _, key := range keys {
		response, err := s.DeleteDeployKey(f.Owner.UserName, f.Name, key.ID)
		if err := gone("remove the deploy key of "+f.FullName, response, err); err != nil {
			return err
		}
	}
	return nil
}
