package app

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// ListCredentials returns a page of the credentials of a project, or of the
// installation, without their values.
func (v *Vault) ListCredentials(ctx context.Context, request contract.ListCredentials) (contract.CredentialList, error) {
	if request.Project != "" && !domain.ValidSlug(request.Project) {
		found := fields{}
		found.wrong("project", "must be the slug of a project: "+domain.SlugRule)
		return contract.CredentialList{}, found.err()
	}
	limit := min(request.Limit, contract.MaxPage)
	if limit <= 0 {
		limit = contract.DefaultPage
	}
	credentials, err := v.Credentials.List(ctx, request.Project, request.Cursor, limit+1)
	if err != nil {
		return contract.CredentialList{}, fmt.Errorf("list credentials: %w", err)
	}
	list := contract.CredentialList{Credentials: credentials}
	if len(credentials) > limit {
		list.Credentials = credentials[:limit]
		list.NextCursor = &credentials[limit-1].Name
	}
	return list, nil
}
