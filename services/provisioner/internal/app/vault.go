package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/contract"
)

// valuesPerKey is how many values a data key encrypts, ever. AES-GCM with random
// nonces would allow four billion; what counts is how much one key opens, and how
// many keys a rotation has to wrap again: one for a thousand values.
const valuesPerKey = 1000

// Vault keeps credentials: values that are written, and read by nobody but the
// executor of a running command that names them.
//
// A value is encrypted under a data key, and the data key is wrapped by a master
// key, which the KMS has. The database alone opens nothing.
type Vault struct {
	Operations  Operations
	Projects    Projects
	Credentials Credentials
	DataKeys    DataKeys
	KMS         KMS
	Cipher      Cipher
	// Actor names who asked for what is done under a context.
	Actor func(context.Context) string
}

// Check finds a master key that is missing or wrong before a value needs it: it
// unwraps one data key for each master key that wraps any.
func (v *Vault) Check(ctx context.Context) error {
	if _, err := v.KMS.Current(ctx); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	keys, err := v.DataKeys.OneOfEach(ctx)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	for _, key := range keys {
		if _, err := v.KMS.Unwrap(ctx, key); err != nil {
			return fmt.Errorf("vault: %w", err)
		}
	}
	return nil
}

// dataKey returns the id of a data key with room for one more value, and the key.
func (v *Vault) dataKey(ctx context.Context) (string, []byte, error) {
	master, err := v.KMS.Current(ctx)
	if err != nil {
		return "", nil, err
	}
	stored, err := v.DataKeys.Take(ctx, master, valuesPerKey)
	if err == nil {
		key, err := v.KMS.Unwrap(ctx, stored)
		return stored.ID, key, err
	}
	if !errors.Is(err, contract.ErrNotFound) {
		return "", nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", nil, fmt.Errorf("name a data key: %w", err)
	}
	key := v.Cipher.NewKey()
	fresh := DataKey{ID: id.String(), CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	if fresh.MasterKey, fresh.Wrapped, err = v.KMS.Wrap(ctx, fresh.ID, key); err != nil {
		return "", nil, err
	}
	return fresh.ID, key, v.DataKeys.Add(ctx, fresh)
}

// inProject says why a project has no credentials: it has to be there, and stay.
// The installation, "", always is.
func (v *Vault) inProject(ctx context.Context, slug string) error {
	if slug == "" {
		return nil
	}
	project, err := readProject(ctx, v.Projects, slug)
	switch {
	case err != nil:
		return err
	case project == nil || project.State == contract.ProjectDeleted:
		return &contract.Error{Code: contract.CodeNotFound, Detail: "there is no project " + slug}
	case project.State == contract.ProjectDeleting:
		return &contract.Error{Code: contract.CodeConflict, Detail: "project " + slug + " is being deleted"}
	}
	return nil
}

// fields collects what is wrong with a request.
type fields []contract.FieldError

func (f *fields) wrong(field, message string) {
	*f = append(*f, contract.FieldError{Field: field, Message: message})
}

func (f *fields) check(field string, err error) {
	if err != nil {
		f.wrong(field, err.Error())
	}
}

// err is nil where nothing is wrong.
func (f fields) err() error {
	if len(f) == 0 {
		return nil
	}
	return &contract.Error{Code: contract.CodeInvalidRequest, Detail: f[0].Field + " " + f[0].Message, Fields: f}
}
