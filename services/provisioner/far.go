package provisioner

import "net/http"

// Far is the systems of the operator's in which projects have something. What is empty
// there is not, and projects that ask for it are refused.
type Far struct {
	// DatabaseURL is the PostgreSQL, or CockroachDB, on which projects have their
	// databases. Its role has CREATEDB and CREATEROLE.
	DatabaseURL string `env:"PROVISIONER_PROJECTS_DATABASE_URL"`
	// RedisURL is the Redis on which projects have their caches, of a user who may do all.
	RedisURL string `env:"PROVISIONER_PROJECTS_REDIS_URL"`
	// Gitea is the forge on which projects have their repositories.
	Gitea Gitea
	// Repositories is a directory in which projects have their repositories where there is
	// no Gitea. RepositoriesURL is where it is reached: below /git of WebAddr.
	Repositories    string `env:"PROVISIONER_REPOSITORIES"`
	RepositoriesURL string `env:"PROVISIONER_REPOSITORIES_URL"`
	// Woodpecker runs the pipelines of repositories that are on Gitea.
	Woodpecker Woodpecker
	// Domain is what the hosts of projects are below, as apps.example.com: shop is
	// shop.apps.example.com. Whole names of others can be given all the same.
	Domain string `env:"PROVISIONER_DOMAIN"`
	// Cloudflare keeps the records of hosts.
	Cloudflare Cloudflare
	// Ingress is how hosts are led to pods.
	Ingress Ingress
	// WebAddr serves repositories of the directory under /git, and leads hosts below
	// localhost to the programs of local projects.
	WebAddr string `env:"PROVISIONER_WEB_ADDR"`

	// Web is called with what is to be served, instead of WebAddr: around the handler of
	// all other requests. WebPort is where that is reached.
	Web     func(around func(other http.Handler) http.Handler) `env:"-"`
	WebPort int                                                `env:"-"`
}

// Gitea is how a Gitea is reached.
type Gitea struct {
	URL string `env:"PROVISIONER_GITEA_URL"` // as https://git.example.com
	// TokenFile has a token with the scopes write:repository, write:organization and
	// read:user; that of an administrator with write:admin, too, gives each project a user
	// of its own, with a token. Without it projects get deploy keys.
	TokenFile string `env:"PROVISIONER_GITEA_TOKEN_FILE"`
	// Organization has the repositories. It is made where it is missing.
	Organization string `env:"PROVISIONER_GITEA_ORGANIZATION" envDefault:"rdev"`
	// HookURL gets the pushes and pull requests of each repository, signed with the secret
	// in HookSecretFile; none where empty.
	HookURL        string `env:"PROVISIONER_GITEA_HOOK_URL"`
	HookSecretFile string `env:"PROVISIONER_GITEA_HOOK_SECRET_FILE"`
}

// Woodpecker is how a Woodpecker is reached.
type Woodpecker struct {
	URL string `env:"PROVISIONER_WOODPECKER_URL"` // as https://ci.example.com
	// TokenFile has the personal token of a user who may administrate the repositories.
	TokenFile string `env:"PROVISIONER_WOODPECKER_TOKEN_FILE"`
}

// Cloudflare is how its DNS is reached.
type Cloudflare struct {
	// TokenFile has a token that may edit the DNS of the zones.
	TokenFile string `env:"PROVISIONER_CLOUDFLARE_TOKEN_FILE"`
	// Zones are the zones with their ids, as "example.com:023e105f4ecef8ad9ca31a8372d0c353".
	Zones map[string]string `env:"PROVISIONER_CLOUDFLARE_ZONES"`
	// Target is what hosts lead to: an address, or the name of a host.
	Target string `env:"PROVISIONER_CLOUDFLARE_TARGET"`
	// Proxied has Cloudflare take the requests and pass them on.
	Proxied bool `env:"PROVISIONER_CLOUDFLARE_PROXIED"`
	// TTL of the records in seconds; 0 for what Cloudflare chooses.
	TTL int `env:"PROVISIONER_CLOUDFLARE_TTL"`
	// API is where it is, Cloudflare's own where empty.
	API string `env:"PROVISIONER_CLOUDFLARE_API"`
}

// Ingress is how hosts are led to the pods of projects.
type Ingress struct {
	// Class names the controller; the cluster's default where empty.
	Class string `env:"INGRESS_CLASS"`
	// TLSSecret is a Secret of the projects' namespace with a certificate for all hosts,
	// ClusterIssuer one of cert-manager's, which makes one for each. http where both are
	// empty.
	TLSSecret     string `env:"INGRESS_TLS_SECRET"`
	ClusterIssuer string `env:"INGRESS_CLUSTER_ISSUER"`
	// Annotations are put on each Ingress, as "name:value,name:value".
	Annotations map[string]string `env:"INGRESS_ANNOTATIONS"`
}
