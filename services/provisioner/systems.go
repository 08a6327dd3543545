package provisioner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/git"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/gitea"
	projects "github.com/orchard9/rdev/services/provisioner/internal/adapters/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/local"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/redis"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/sql"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// systems are those of Far, opened. What is nil there is not.
type systems struct {
	databases    app.Databases
	caches       app.Caches
	repositories app.Repositories
	ci           app.CI
	pipelines    app.Pipelines
	dns          app.DNS
	routes       app.Routes
	// around serves repositories and routes beside another handler, nil where there is
	// nothing to serve.
	around func(other http.Handler) http.Handler
	close  func() error
}

// openSystems checks all settings, and connects to nothing.
func (cfg Config) openSystems(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) (s systems, err error) {
	s.close = func() error { return nil }
	installation, err := postgres.Installation(ctx, pool)
	if err != nil {
		return s, err
	}
	if cfg.Far.DatabaseURL != "" {
		if s.databases, err = sql.New(cfg.Far.DatabaseURL, installation); err != nil {
			return s, fmt.Errorf("PROVISIONER_PROJECTS_DATABASE_URL: %w", err)
		}
	}
	if cfg.Far.RedisURL != "" {
		if s.caches, err = redis.New(cfg.Far.RedisURL, installation); err != nil {
			return s, fmt.Errorf("PROVISIONER_PROJECTS_REDIS_URL: %w", err)
		}
	}
	if err := cfg.Far.Woodpecker.open(&s); err != nil {
		return s, err
	}
	if err := cfg.Far.Cloudflare.open(&s, installation); err != nil {
		return s, err
	}
	find, err := cfg.openRoutes(&s)
	if err != nil {
		return s, err
	}
	served, err := cfg.Far.openRepositories(&s, installation, log)
	if err != nil {
		return s, err
	}
	s.serve(served, find, log)
	return s, nil
}

// serve sets around. served answers below /git, find finds the projects of hosts; each may
// be nil.
func (s *systems) serve(served http.Handler, find local.Find, log *slog.Logger) {
	if served == nil && find == nil {
		return
	}
	s.around = func(other http.Handler) http.Handler {
		if served != nil {
			other = below("/git", served, other)
		}
		if find != nil {
			other = local.NewProxy(find, other, log)
		}
		return other
	}
}

// below leads requests for paths below a prefix to one handler, without that, and all others
// to another.
func below(prefix string, one, other http.Handler) http.Handler {
	stripped := http.StripPrefix(prefix, one)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			stripped.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// openRepositories opens Gitea, or else the directory; what it returns serves that.
func (f Far) openRepositories(s *systems, installation string, log *slog.Logger) (http.Handler, error) {
	switch {
	case f.Gitea.URL != "" && f.Repositories != "":
		return nil, errors.New("PROVISIONER_GITEA_URL and PROVISIONER_REPOSITORIES are both set: one has to be empty")
	case f.Gitea.URL != "":
		return nil, f.Gitea.open(s, installation)
	case f.Repositories == "":
		return nil, nil
	}
	forge, err := git.Open(git.Config{Dir: f.Repositories, URL: f.RepositoriesURL, Installation: installation, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("PROVISIONER_REPOSITORIES: %w", err)
	}
	s.repositories, s.close = forge, forge.Close
	return forge.Handler(), nil
}

func (g Gitea) open(s *systems, installation string) error {
	token, err := readSecret("PROVISIONER_GITEA_TOKEN_FILE", g.TokenFile)
	if err != nil {
		return err
	}
	config := gitea.Config{URL: g.URL, Token: token, Organization: g.Organization, Installation: installation}
	if g.HookURL != "" {
		secret, err := readSecret("PROVISIONER_GITEA_HOOK_SECRET_FILE", g.HookSecretFile)
		if err != nil {
			return err
		}
		config.Hook = &gitea.Hook{URL: g.HookURL, Secret: secret}
	}
	forge, err := gitea.New(config)
	if err != nil {
		return fmt.Errorf("PROVISIONER_GITEA_URL: %w", err)
	}
	s.repositories = forge
	return nil
}

func (w Woodpecker) open(s *systems) error {
	if w.URL == "" {
		return nil
	}
	token, err := readSecret("PROVISIONER_WOODPECKER_TOKEN_FILE", w.TokenFile)
	if err != nil {
		return err
	}
	server, err := woodpecker.New(w.URL, token)
	if err != nil {
		return fmt.Errorf("PROVISIONER_WOODPECKER_URL: %w", err)
	}
	s.ci, s.pipelines = server, server
	return nil
}

func (c Cloudflare) open(s *systems, installation string) error {
	if len(c.Zones) == 0 {
		return nil
	}
	token, err := readSecret("PROVISIONER_CLOUDFLARE_TOKEN_FILE", c.TokenFile)
	if err != nil {
		return err
	}
	dns, err := cloudflare.New(cloudflare.Config{
		Zones: c.Zones, Token: token, Target: c.Target, Proxied: c.Proxied, TTL: c.TTL, Installation: installation, BaseURL: c.API,
	})
	if err != nil {
		return fmt.Errorf("PROVISIONER_CLOUDFLARE_ZONES: %w", err)
	}
	s.dns = dns
	return nil
}

// openRoutes opens those of the runtime; what it returns finds local projects.
func (cfg Config) openRoutes(s *systems) (local.Find, error) {
	if cfg.Runtime == contract.RuntimeKube {
		pods, err := cfg.Pods.config(nil)
		if err != nil {
			return nil, err
		}
		in := cfg.Far.Ingress
		s.routes, err = projects.NewRoutes(projects.RouteConfig{
			Cluster: pods.Cluster, Namespace: pods.Namespace,
			IngressClass: in.Class, TLSSecret: in.TLSSecret, ClusterIssuer: in.ClusterIssuer, Annotations: in.Annotations,
		})
		return nil, err
	}
	port, err := cfg.Far.webPort()
	if err != nil || port == 0 {
		return nil, err
	}
	routes, err := local.OpenRoutes(cfg.Workspaces, port)
	if err != nil {
		return nil, err
	}
	s.routes = routes
	return routes.Find, nil
}

// webPort is where local projects are reached, 0 for nowhere.
func (f Far) webPort() (int, error) {
	if f.Web != nil || f.WebAddr == "" {
		return f.WebPort, nil
	}
	port, err := strconv.Atoi(f.WebAddr[strings.LastIndex(f.WebAddr, ":")+1:])
	if err != nil {
		return 0, fmt.Errorf("PROVISIONER_WEB_ADDR: %q is not of the form host:port", f.WebAddr)
	}
	return port, nil
}

// domain is what hosts are below; on this machine alone localhost.
func (cfg Config) domain() (string, error) {
	if cfg.Far.Domain == "" {
		if cfg.Runtime != contract.RuntimeKube && (cfg.Far.Web != nil || cfg.Far.WebAddr != "") {
			return "localhost", nil
		}
		return "", nil
	}
	domain, wrong := validate.Host(cfg.Far.Domain)
	if wrong != "" && cfg.Far.Domain != "localhost" {
		return "", fmt.Errorf("PROVISIONER_DOMAIN %q %s", cfg.Far.Domain, wrong)
	}
	return domain, nil
}

// checkHost says what is wrong with a host of a project, "" where nothing is.
func checkHost(domain string) func(host string) string {
	return func(host string) string {
		ascii, wrong := validate.Host(host)
		switch label, parent, _ := strings.Cut(ascii, "."); {
		case wrong != "":
			return wrong
		case ascii != host:
			return "is written " + ascii
		case domain != "" && parent == domain && validate.ReservedLabel(label):
			return "is reserved"
		case domain != "" && host == domain:
			return "is the installation's own"
		}
		return ""
	}
}

// readSecret reads a file with a secret alone.
func readSecret(variable, file string) (string, error) {
	if file == "" {
		return "", fmt.Errorf("%s: is required", variable)
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", variable, err)
	}
	text := strings.TrimSpace(string(secret))
	if text == "" {
		return "", fmt.Errorf("%s: %s is empty", variable, file)
	}
	return text, nil
}

// steps are all that a project may be made in. vault is nil where there is none.
func (s systems) steps(workspaces app.Workspaces, vault *app.Vault, credentials app.Credentials) []app.Step {
	secrets := app.VaultSecrets{Vault: vault, Credentials: credentials}
	return []app.Step{
		app.WorkspaceStep{Workspaces: workspaces},
		app.DatabaseStep{Databases: s.databases, Secrets: secrets},
		app.CacheStep{Caches: s.caches, Secrets: secrets},
		app.RepositoryStep{Repositories: s.repositories},
		app.AccessStep{Repositories: s.repositories, Secrets: secrets},
		app.CIStep{CI: s.ci, Repositories: s.repositories, Secrets: secrets},
		app.TemplateStep{Repositories: s.repositories},
		app.ComponentsStep{Repositories: s.repositories},
	}
}
