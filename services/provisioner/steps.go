package provisioner

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/services/provisioner/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/sql"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// openDatabases is nil where projects have none.
func openDatabases(ctx context.Context, url string, pool *pgxpool.Pool) (app.Databases, error) {
	if url == "" {
		return nil, nil
	}
	installation, err := postgres.Installation(ctx, pool)
	if err != nil {
		return nil, err
	}
	server, err := sql.New(url, installation)
	if err != nil {
		return nil, fmt.Errorf("PROVISIONER_PROJECTS_DATABASE_URL: %w", err)
	}
	return server, nil
}

// steps are all that a project may be made in. vault is nil where there is none.
func steps(workspaces app.Workspaces, databases app.Databases, vault *app.Vault, credentials app.Credentials) []app.Step {
	secrets := app.VaultSecrets{Vault: vault, Credentials: credentials}
	return []app.Step{
		app.WorkspaceStep{Workspaces: workspaces},
		app.DatabaseStep{Databases: databases, Secrets: secrets},
	}
}
