package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// publicKeySize is that of an X25519 key, in bytes.
const publicKeySize = 32

// maxOpened is the most that the values of one command may have together as JSON,
// in bytes: sealed and in base64 they have to fit into a message of 1 MiB.
const maxOpened = 640 << 10

// OpenCredentials answers the values that a running command named, sealed to the
// key of the executor that runs it.
func (v *Vault) OpenCredentials(ctx context.Context, request contract.OpenCredentials) (contract.SealedCredentials, error) {
	var none contract.SealedCredentials
	if err := checkOpen(request); err != nil {
		return none, err
	}
	op, err := v.Operations.Load(ctx, request.Operation)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return none, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no operation " + request.Operation}
	case err != nil:
		return none, fmt.Errorf("open credentials of %s: %w", request.Operation, err)
	case op.State != contract.Running || op.Attempt != request.Attempt:
		return none, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf(
			"operation %s is %s in attempt %d: credentials are for attempt %d while it is running", op.ID, op.State, op.Attempt, request.Attempt)}
	}
	var names []string
	if op.Command != nil {
		names = distinct(op.Command.Credentials)
	}
	values, err := v.values(ctx, op.Project, names)
	if err != nil {
		return none, fmt.Errorf("open credentials of %s: %w", op.ID, err)
	}
	message, err := json.Marshal(values)
	if err != nil {
		return none, fmt.Errorf("open credentials of %s: %w", op.ID, err)
	}
	if len(message) > maxOpened {
		return none, &contract.Error{Code: contract.CodePayloadTooLarge, Detail: fmt.Sprintf(
			"the credentials of operation %s have %d bytes together, more than %d", op.ID, len(message), maxOpened)}
	}
	box, err := v.Cipher.SealTo(request.PublicKey, message)
	if err != nil {
		return none, fmt.Errorf("open credentials of %s: %w", op.ID, err)
	}
	return contract.SealedCredentials{Box: box}, nil
}

func checkOpen(request contract.OpenCredentials) error {
	var found fields
	if !contract.ValidOperationID(request.Operation) {
		found.wrong("operation", "must be the id of an operation")
	}
	if request.Attempt < 1 {
		found.wrong("attempt", "must be 1 or more")
	}
	if len(request.PublicKey) != publicKeySize {
		found.wrong("public_key", fmt.Sprintf("must have %d bytes", publicKeySize))
	}
	return found.err()
}

// values decrypts what a project's command named: its project's own credential, or
// else the installation's, where that is for the project.
func (v *Vault) values(ctx context.Context, project string, names []string) (map[string]string, error) {
	found, err := v.Credentials.Named(ctx, project, names)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, name := range names {
		chosen := choose(found, project, name)
		if chosen == nil {
			return nil, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf(
				"project %s has no credential %s: set it with PUT /projects/%[1]s/credentials/%[2]s, "+
					"or with PUT /credentials/%[2]s one of the installation whose projects include %[1]s", project, name)}
		}
		key, err := v.DataKeys.Get(ctx, chosen.DataKey)
		if err != nil {
			return nil, err
		}
		opened, err := v.KMS.Unwrap(ctx, key)
		if err != nil {
			return nil, err
		}
		if values[name], err = v.Cipher.Open(opened, *chosen); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// choose returns the credential that a name stands for in a project, nil for none.
func choose(found []SealedCredential, project, name string) *SealedCredential {
	var chosen *SealedCredential
	for i, c := range found {
		switch {
		case c.Name != name:
		case c.Project == project:
			return &found[i]
		case c.Project == "" && slices.ContainsFunc(c.Projects, func(p string) bool { return domain.ProjectMatches(p, project) }):
			chosen = &found[i]
		}
	}
	return chosen
}
