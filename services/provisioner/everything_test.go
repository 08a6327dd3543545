package provisioner_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	goredis "github.com/redis/go-redis/v9"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker/woodpeckertest"
)

// beAProvisioner has this test program be the service, as a process that can be killed.
const beAProvisioner = "be-a-provisioner"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == beAProvisioner {
		if err := serveAs(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// settings is the configuration of the process, as far as it is not fixed.
type settings struct {
	NATS, Database, Projects, Redis, Gitea, Woodpecker, Cloudflare string
	Workspaces, Tokens, MasterKey, Organization, Web               string
	Lease                                                          contract.Lease
	Kubeconfig, Image                                              string // of a cluster; local where empty
	Hook                                                           string // of the repositories, with whatever secret; none where empty
}

func serveAs(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { // it ends with the test program, however that does
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return provisioner.Run(ctx, s.config(), slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

func (s settings) config() provisioner.Config {
	cfg := provisioner.Config{
		NATS: bus.Settings{URL: s.NATS}, DatabaseURL: s.Database, Workspaces: s.Workspaces, Lease: s.Lease,
		MasterKey: provisioner.MasterKey{Text: s.MasterKey},
		Far: provisioner.Far{
			DatabaseURL: s.Projects, RedisURL: s.Redis, Domain: "apps.localhost", WebAddr: s.Web,
			Gitea: provisioner.Gitea{
				URL: s.Gitea, TokenFile: filepath.Join(s.Tokens, "gitea"), Organization: s.Organization,
				HookURL: s.Hook, HookSecretFile: filepath.Join(s.Tokens, "gitea"),
			},
			Woodpecker: provisioner.Woodpecker{URL: s.Woodpecker, TokenFile: filepath.Join(s.Tokens, "woodpecker")},
			Cloudflare: provisioner.Cloudflare{
				TokenFile: filepath.Join(s.Tokens, "cloudflare"), Zones: map[string]string{"apps.localhost": cloudflaretest.ZoneID(1)},
				Target: "203.0.113.7", API: s.Cloudflare,
			},
		},
	}
	if s.Kubeconfig != "" {
		cfg.Runtime, cfg.Far.WebAddr = contract.RuntimeKube, ""
		cfg.Pods = provisioner.Pods{
			Kubeconfig: s.Kubeconfig, Namespace: namespace, Image: s.Image, PullPolicy: "Never", Storage: "1Gi",
			CPURequest: "10m", MemoryLimit: "256Mi", Ephemeral: "256Mi", Patience: time.Minute,
		}
		cfg.Workers = provisioner.Workers{Storage: "1Gi"}
	}
	return cfg
}

// namespace has the pods of projects.
const namespace = "rdev-projects"

// everything is an installation with all the systems that a project can have something in,
// and a gate before each of them.
type everything struct {
	*world

	settings settings
	gate     *gate
	gitea    *sdk.Client
	ci       *woodpeckertest.Server
	dns      *cloudflaretest.Server
	redis    *goredis.Client
	pool     *pgxpool.Pool // of the server on which projects have databases
	child    *exec.Cmd
	lifeline io.Closer
}

// whole is the spec of a project that has all.
func whole(slug string) *contract.ProjectSpec {
	return &contract.ProjectSpec{
		Slug: slug, Template: "go-api", Repository: &contract.RepositorySpec{}, Domains: []contract.Domain{{}, {Host: "www-" + slug, AliasOf: slug}},
		Database: true, Cache: true,
	}
}

func newEverything(t testing.TB) *everything {
	t.Helper()
	e := &everything{world: stopped(t), gate: &gate{t: t}}
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	forge, redis := testkit.Gitea(t), testkit.Redis(t)
	var err error
	e.gitea, err = sdk.NewClient(forge.URL, sdk.SetToken(forge.Token), sdk.SetGiteaVersion(""))
	must(err)
	e.ci = woodpeckertest.New(func(id string) (string, bool) {
		var number int64
		if _, err := fmt.Sscan(id, &number); err != nil {
			return "", false
		}
		repository, _, err := e.gitea.GetRepoByID(number)
		if err != nil {
			return "", false
		}
		return repository.FullName, true
	})
	t.Cleanup(e.ci.Close)
	e.dns = cloudflaretest.New(t, map[string]string{"apps.localhost": cloudflaretest.ZoneID(1)})
	options, err := goredis.ParseURL(redis.AdminURL)
	must(err)
	e.redis = goredis.NewClient(options)
	t.Cleanup(func() { _ = e.redis.Close() })
	projects := testkit.Postgres(t)
	e.pool, err = pgxpool.New(t.Context(), projects)
	must(err)
	t.Cleanup(e.pool.Close)

	tokens := t.TempDir()
	for name, token := range map[string]string{"gitea": forge.Token, "woodpecker": woodpeckertest.Token, "cloudflare": cloudflaretest.Token} {
		must(os.WriteFile(filepath.Join(tokens, name), []byte(token), 0o600))
	}
	e.settings = settings{
		NATS: e.cfg.NATS.URL, Database: e.cfg.DatabaseURL, Projects: e.gate.tcp(projects), Redis: e.gate.tcp(redis.AdminURL),
		Gitea: e.gate.http(forge.URL), Woodpecker: e.gate.http(e.ci.URL), Cloudflare: e.gate.http(e.dns.URL),
		Workspaces: e.cfg.Workspaces, Tokens: tokens, MasterKey: base64.StdEncoding.EncodeToString(make([]byte, 32)),
		Organization: "all-" + strings.ToLower(uuid.NewString()[:8]), Web: testkit.FreeAddress(t), Lease: e.cfg.Lease,
	}
	_, err = e.conn.JetStream().Conn().Subscribe(contract.AppendSubject(contract.EntityOperation, contract.TypeProvisioned, "*"), func(*nats.Msg) { e.gate.pass() })
	must(err)
	t.Cleanup(e.end)
	return e
}

// begin starts the process, where it is not running.
func (e *everything) begin() {
	e.t.Helper()
	text, err := json.Marshal(e.settings)
	if err != nil {
		e.t.Fatal(err)
	}
	e.child = exec.Command(os.Args[0], beAProvisioner, string(text))
	e.child.Stderr = e.t.Output()
	if e.lifeline, err = e.child.StdinPipe(); err != nil {
		e.t.Fatal(err)
	}
	if err := e.child.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.gate.victim(e.child.Process)
}

// end kills the process, and has what it had in hand come again at once.
func (e *everything) end() {
	if e.child == nil {
		return
	}
	_ = e.child.Process.Kill()
	_ = e.child.Wait()
	e.child = nil
	if err := e.conn.TakeBack(context.WithoutCancel(e.t.Context()), contract.ConsumerProvisioner); err != nil {
		e.t.Error(err)
	}
}

// ask puts an operation on its lane.
func (e *everything) ask(op contract.Operation) contract.Operation {
	e.t.Helper()
	op.ID, op.Actor, op.CreatedAt, op.Lane = uuid.Must(uuid.NewV7()).String(), "key:test", time.Now().UTC(), contract.ProjectLane(op.Project)
	op, err := e.conn.Append(e.t.Context(), nil, contract.OperationPending{Operation: op})
	if err != nil {
		e.t.Fatal(err)
	}
	e.offer(op)
	return op
}

// made is a project that was asked for, once it is there.
func (e *everything) made(spec *contract.ProjectSpec) contract.Operation {
	e.t.Helper()
	return e.ended(e.ask(contract.Operation{Kind: contract.KindProjectCreate, Project: spec.Slug, Spec: spec}), contract.Completed)
}

func (e *everything) deleted(slug string) {
	e.t.Helper()
	e.ended(e.ask(contract.Operation{Kind: contract.KindProjectDelete, Project: slug}), contract.Completed)
}

func (e *everything) drift(slug string) (contract.ProjectDifferences, error) {
	return ask[contract.ProjectDrift, contract.ProjectDifferences](e.world, contract.VerbDriftProject, contract.ProjectDrift{Project: slug})
}

// counts is how much of a project there is in each system.
type counts map[string]int

func (e *everything) there(slug string) counts {
	e.t.Helper()
	c := counts{}
	ctx, full := e.t.Context(), e.settings.Organization+"/"+slug
	if _, response, err := e.gitea.GetRepo(e.settings.Organization, slug); err == nil {
		c["repository"] = 1
		commits, _, err := e.gitea.ListRepoCommits(e.settings.Organization, slug, sdk.ListCommitOptions{})
		if err != nil {
			e.t.Error(err)
		}
		c["commits"] = len(commits)
	} else if response == nil || response.StatusCode != http.StatusNotFound {
		e.t.Error(err)
	}
	if _, active := e.ci.Repository(full); active {
		c["ci"] = 1
		for _, name := range []string{"database_url", "redis_url"} {
			if value, _, ok := e.ci.Secret(full, name); ok && strings.Contains(value, "://") {
				c["secrets"]++
			}
		}
	}
	for _, record := range e.dns.Snapshot() {
		if strings.Contains(record.Name, slug+".apps.localhost") {
			c["records"]++
		}
	}
	for name, query := range map[string]string{
		"databases": `select count(*) from pg_database where shobj_description(oid, 'pg_database') like '% project=' || $1`,
		"roles":     `select count(*) from pg_roles where shobj_description(oid, 'pg_authid') like '% project=' || $1`,
	} {
		count := 0
		if err := e.pool.QueryRow(ctx, query, slug).Scan(&count); err != nil {
			e.t.Error(err)
		}
		c[name] = count
	}
	users, err := e.redis.Do(ctx, "ACL", "USERS").StringSlice()
	if err != nil {
		e.t.Error(err)
	}
	for _, user := range users {
		if strings.HasSuffix(user, "-"+slug) {
			c["cache users"]++
		}
	}
	if _, err := os.Stat(filepath.Join(e.settings.Workspaces, slug, "workspace")); err == nil {
		c["workspaces"]++
	}
	credentials, err := ask[contract.ListCredentials, contract.CredentialList](e.world, contract.VerbListCredentials, contract.ListCredentials{Project: slug})
	if err != nil && !strings.Contains(err.Error(), "there is no project") {
		e.t.Error(err)
	}
	c["credentials"] = len(credentials.Credentials)
	for name, count := range c {
		if count == 0 {
			delete(c, name)
		}
	}
	return c
}

// all is what there is of a whole project.
func all() counts {
	return counts{
		"repository": 1, "commits": 1, "ci": 1, "secrets": 2, "records": 4, "databases": 1, "roles": 1, "cache users": 1, "workspaces": 1, "credentials": 5,
	}
}
