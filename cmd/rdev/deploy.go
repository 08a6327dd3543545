package main

import (
	"fmt"

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
for people, what each may do, the passwords of the database, and the first API key,
which it also tells once, on standard error. Nothing is kept on this machine.

Kubernetes does not let them be changed afterwards, so that a second call harms
nothing. To replace them all, delete them first and restart everything.`,
		Example: `  rdev deploy secrets | kubectl apply -f -
  rdev deploy secrets --database-url 'postgres://rdev:…@db.example/rdev?sslmode=verify-full' | kubectl apply -f -`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			made, err := deploy.New(options)
			if err != nil {
				return usagef(cmd, "%v", err)
			}
			if err := made.Write(cmd.OutOrStdout()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "The first API key, shown this once and kept in the Secret rdev-api-key:\n\n  %s\n", made.APIKey)
			return err
		},
	}
	cmd.Flags().StringVarP(&options.Namespace, "namespace", "n", "rdev", "where the services are")
	cmd.Flags().StringVar(&options.DatabaseURL, "database-url", "", "a PostgreSQL elsewhere (default: that of components/postgres)")
	return cmd
}
