package deploy

import (
	"net/url"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
)

// caPath is where the pods have the authority's certificate.
const caPath = "/etc/rdev/ca/ca.crt"

// migrate is who makes the tables of all services, as database.RoleMigrate.
const migrate = "migrate"

// tabled are the services with tables.
func tabled() []string {
	return []string{contract.ServiceAudit, contract.ServiceGateway, contract.ServiceNotifier, contract.ServiceProvisioner}
}

// databaseSecrets are the URLs of the database, and where it is the installation's
// own, the passwords of its roles and the certificate of its server.
func databaseSecrets(o Options, a *authority) ([]Secret, error) {
	urls := map[string]string{}
	if o.DatabaseURL != "" {
		for _, role := range append(tabled(), migrate) {
			urls[role+"-url"] = o.DatabaseURL
		}
		return []Secret{secret("rdev-database", urls)}, nil
	}
	passwords := map[string]string{}
	for _, role := range append(tabled(), migrate) {
		passwords[role] = random()
		at := url.URL{
			Scheme: "postgres", User: url.UserPassword(database.Role(role), passwords[role]), Host: "postgres:5432", Path: "/rdev",
			RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {caPath}}.Encode(),
		}
		urls[role+"-url"] = at.String()
	}
	certificate, key, err := a.issue("postgres", serviceHosts("postgres", o.Namespace)...)
	if err != nil {
		return nil, err
	}
	return []Secret{
		secret("rdev-database", urls),
		secret("rdev-postgres", passwords),
		secret("rdev-postgres-tls", map[string]string{"tls.crt": certificate, "tls.key": key}),
	}, nil
}

// serviceHosts are the names of a Service, as pods of its namespace and of others
// call it.
func serviceHosts(name, namespace string) []string {
	return []string{name, name + "." + namespace, name + "." + namespace + ".svc", name + "." + namespace + ".svc.cluster.local"}
}
