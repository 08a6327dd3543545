package main

import (
	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/deploy"
)

func newDeployCommand() *cobra.Command {
	cmd := group("deploy", "Prepare an installation on Kubernetes",
		"What deployments/kubernetes needs and does not contain.")
	cmd.AddCommand(newDeploySecretsCommand())
	return cmd
}

func newDeploySecretsCommand() *cobra.Command {
	var options deploy.Options
	cmd := &cobra.Command{
		Use: "secrets", Short: "Make the secrets of a fresh installation", Args: arguments(),
		Long: `Writes the Secrets of a fresh installation, as one list for kubectl: the authority
and the certificates of NATS and PostgreSQL, a NATS user for each service and one
for people, what each may do, the passwords of the database, what API keys are hashed
with, and the vault's master key. Nothing is kept on this machine. The first API key
makes, once it runs,

  kubectl -n rdev exec deploy/gateway -- /service bootstrap

Kubernetes does not let them be changed afterwards, so that a second call harms
nothing. To replace them all, stop everything, and delete them before you start it
again: nodes go on giving the old ones to new pods while any pod has them.`,
		Example: `  rdev deploy secrets | kubectl apply -f -
  rdev deploy secrets --database-url 'postgres://rdev:…@db.example/rdev?sslmode=verify-full' | kubectl apply -f -`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			made, err := deploy.New(options)
			if err != nil {
				return usagef(cmd, "%v", err)
			}
			return made.Write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&options.Namespace, "namespace", "n", "rdev", "where the services are")
	cmd.Flags().StringVar(&options.DatabaseURL, "database-url", "", "a PostgreSQL elsewhere (default: that of components/postgres)")
	return cmd
}
