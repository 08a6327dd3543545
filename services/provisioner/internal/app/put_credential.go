package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// maxProjects is how many slugs and patterns a credential may have.
const maxProjects = 200

// PutCredential sets the value of a credential.
//
// A request that comes again sets it again, as the next version.
func (v *Vault) PutCredential(ctx context.Context, request contract.PutCredential) (contract.Credential, error) {
	return v.put(ctx, request, v.Actor(ctx), func(ctx context.Context) error { return v.inProject(ctx, request.Project) })
}

// Keep sets the value of a credential of a project that an operation makes, and that is
// there only after it: while the operation is running under its attempt, and is not being
// undone.
func (v *Vault) Keep(ctx context.Context, op contract.Operation, name, value string) error {
	_, err := v.put(ctx, contract.PutCredential{Name: name, Project: op.Project, Value: value}, op.Actor, func(ctx context.Context) error {
		now, err := v.Operations.Load(ctx, op.ID)
		if err != nil {
			return fmt.Errorf("read operation %s: %w", op.ID, err)
		}
		if now.State != contract.Running || now.Attempt != op.Attempt || now.Undo != nil {
			return fmt.Errorf("attempt %d of %s has ended: %w", op.Attempt, op.ID, contract.ErrFenced)
		}
		return nil
	})
	return err
}

// put sets the value of a credential in the name of an actor, where allowed lets it.
func (v *Vault) put(ctx context.Context, request contract.PutCredential, actor string, allowed func(context.Context) error) (contract.Credential, error) {
	if err := checkPut(request); err != nil {
		return contract.Credential{}, err
	}
	// Before the project is locked: that holds a connection to the database.
	id, key, err := v.dataKey(ctx)
	if err != nil {
		return contract.Credential{}, fmt.Errorf("put credential %s: %w", request.Name, err)
	}
	var stored contract.Credential
	err = v.Credentials.Put(ctx, request.Project, request.Name, func(ctx context.Context, now *SealedCredential) (SealedCredential, error) {
		if err := allowed(ctx); err != nil {
			return SealedCredential{}, err
		}
		at := time.Now().UTC().Truncate(time.Microsecond)
		next := SealedCredential{DataKey: id, Credential: contract.Credential{
			Name: request.Name, Project: request.Project, Projects: distinct(request.Projects),
			Version: 1, CreatedAt: at, UpdatedAt: at, Actor: actor,
		}}
		if now != nil {
			next.Version, next.CreatedAt = now.Version+1, now.CreatedAt
		}
		stored = next.Credential
		return v.Cipher.Seal(key, next, request.Value)
	})
	if err != nil {
		return contract.Credential{}, fmt.Errorf("put credential %s: %w", request.Name, err)
	}
	return stored, nil
}

// checkPut returns all that is wrong with a request. It never repeats the value.
func checkPut(request contract.PutCredential) error {
	found := checkKey(request.Project, request.Name)
	found.check("value", domain.CheckCredentialValue(request.Value, contract.MaxCredential))
	switch {
	case request.Project != "" && len(request.Projects) > 0:
		found.wrong("projects", "must be empty for a credential that belongs to a project")
	case len(request.Projects) > maxProjects:
		found.wrong("projects", fmt.Sprintf("must have at most %d entries", maxProjects))
	default:
		for i, pattern := range request.Projects {
			if !domain.ValidProjectPattern(pattern) {
				found.wrong(fmt.Sprintf("projects[%d]", i), domain.ProjectPatternRule)
			}
		}
	}
	return found.err()
}

// checkKey returns what is wrong with the project and the name of a credential.
func checkKey(project, name string) fields {
	var found fields
	if project != "" && !domain.ValidSlug(project) {
		found.wrong("project", "must be the slug of a project: "+domain.SlugRule)
	}
	found.check("name", domain.CheckCredentialName(name))
	return found
}

// DeleteCredential removes a credential and its value. Commands that have it keep
// it until they end.
func (v *Vault) DeleteCredential(ctx context.Context, request contract.DeleteCredential) (contract.CredentialDeleted, error) {
	if err := checkKey(request.Project, request.Name).err(); err != nil {
		return contract.CredentialDeleted{}, err
	}
	err := v.Credentials.Delete(ctx, request.Project, request.Name)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return contract.CredentialDeleted{}, &contract.Error{
			Code: contract.CodeNotFound, Detail: whose(request.Project) + " has no credential " + request.Name,
		}
	case err != nil:
		return contract.CredentialDeleted{}, fmt.Errorf("delete credential %s: %w", request.Name, err)
	}
	return contract.CredentialDeleted{}, nil
}

func whose(project string) string {
	if project == "" {
		return "the installation"
	}
	return "project " + project
}

// distinct sorts words and leaves out those that come twice; never nil.
func distinct(words []string) []string {
	sorted := append([]string{}, words...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
