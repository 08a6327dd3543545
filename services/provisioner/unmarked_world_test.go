package provisioner_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/ssh"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
)

// strangers is an installation whose systems others have filled, as a seed says.
type strangers struct {
	*everything
	*mathrand.Rand

	tag         string        // in the names of all that there is
	taken, free string        // slugs: things of others are called as what the first would have
	own         *pgxpool.Pool // of the service's own database
	passwords   map[string]string
	repos       []*sdk.Repository // of others

	before things // what is not ours, and so has to stay
	last   things // what there was after the last operation
	// inTheWay is what keeps a project from getting a part, by the part as parts has it.
	inTheWay map[string]string
	adopts   []string            // full names of repositories that are there, or are not
	kept     map[string][]string // things that are to stay, by project that is being deleted
	log      []string            // what was done
	did      map[string]int      // the same in numbers
}

func newStrangers(t *testing.T, seed uint64, did map[string]int) *strangers {
	t.Helper()
	s := &strangers{
		everything: newEverything(t), Rand: mathrand.New(mathrand.NewPCG(seed, 1)), tag: "t" + strings.ToLower(rand.Text()[:6]),
		passwords: map[string]string{}, inTheWay: map[string]string{}, kept: map[string][]string{}, did: did,
	}
	s.taken, s.free, s.settings.Organization, s.settings.Hook = "shop-"+s.tag, "blog-"+s.tag, "all-"+s.tag, "http://127.0.0.1:1/hooks/"+s.tag
	s.gate.set(0, "")
	s.begin()
	s.await()
	var err error
	s.own, err = database.Open(t.Context(), s.cfg.DatabaseURL, contract.ServiceProvisioner, nil)
	s.must(err)
	t.Cleanup(s.own.Close)
	t.Cleanup(s.dropAll)
	n := s.learn(s.taken)
	neighbor := whole(s.taken + "-2")
	if s.IntN(3) == 0 {
		neighbor.Domains = append(neighbor.Domains, contract.Domain{Host: "www-" + s.taken})
		s.inTheWay["host "+n.hosts[1]] = n.hosts[1]
	}
	s.made(neighbor)
	s.use(s.project(neighbor.Slug, contract.ProjectReady))
	for _, fill := range []func(names){s.fillForge, s.fillCI, s.fillDNS, s.fillDatabases, s.fillCaches, s.fillFiles, s.fillVault} {
		fill(n)
	}
	s.last = s.look()
	s.before = maps.Clone(s.last)
	return s
}

func (s *strangers) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *strangers) team() string { return "team-" + s.tag }

// one is true one time of n.
func (s *strangers) one(n int) bool { return s.IntN(n) == 0 }

func pick[T any](s *strangers, of ...T) T { return of[s.IntN(len(of))] }

// some are about half of all.
func some[T any](s *strangers, all ...T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(T) bool { return s.one(2) })
}

// names are what a project of a slug has in each system, with its marks.
type names struct {
	slug, repository, topic, description string
	user, fullName                       string
	database, comment                    string
	cache                                string
	hosts                                []string
	texts                                map[string]string // of the TXT records, by host
	installation                         string
}

// other is a mark as that of another installation.
func (n names) other(mark string) string {
	return strings.ReplaceAll(mark, n.installation, uuid.NewString())
}

// learn makes a whole project, looks how everything is called, and removes it.
func (s *strangers) learn(slug string) names {
	s.t.Helper()
	n := names{slug: slug, texts: map[string]string{}}
	s.made(whole(slug))
	project := s.project(slug, contract.ProjectReady)
	external := func(resource, key string) string { return project.Resource(resource).External[key] }
	n.repository, n.user = external(contract.ResourceRepository, contract.ExternalName), external(contract.ResourceAccess, contract.ExternalUser)
	n.database, n.cache = external(contract.ResourceDatabase, contract.ExternalDatabase), external(contract.ResourceCache, contract.ExternalUser)
	repository, _, err := s.gitea.GetRepo(s.settings.Organization, slug)
	s.must(err)
	n.description, n.topic = repository.Description, repository.Topics[slices.IndexFunc(repository.Topics, func(topic string) bool { return topic != "rdev" })]
	user, _, err := s.gitea.GetUserInfo(n.user)
	s.must(err)
	n.fullName = user.FullName
	s.must(s.pool.QueryRow(s.t.Context(), `select shobj_description(oid, 'pg_database') from pg_database where datname = $1`, n.database).Scan(&n.comment))
	for _, domain := range project.Spec.Domains {
		n.hosts = append(n.hosts, domain.Host)
	}
	for _, record := range s.dns.Snapshot() {
		if host, ok := strings.CutPrefix(record.Name, "_rdev."); ok {
			n.texts[host] = record.Content
		}
	}
	s.must(s.own.QueryRow(s.t.Context(), `select id from installation`).Scan(&n.installation))
	s.deleted(slug)
	return n
}

// as is a client of Gitea that comes in with a password.
func (s *strangers) as(user, password string) (*sdk.Client, error) {
	return sdk.NewClient(testkit.Gitea(s.t).URL, sdk.SetBasicAuth(user, password), sdk.SetGiteaVersion(""))
}

// person makes a user of Gitea, with a token and a key.
func (s *strangers) person(name, fullName string) {
	s.t.Helper()
	no, password := false, rand.Text()
	_, _, err := s.gitea.AdminCreateUser(sdk.CreateUserOption{Username: name, FullName: fullName, Email: name + "@example.invalid", Password: password, MustChangePassword: &no})
	s.must(err)
	as, err := s.as(name, password)
	s.must(err)
	_, _, err = as.CreateAccessToken(sdk.CreateAccessTokenOption{Name: "rdev", Scopes: []sdk.AccessTokenScope{"write:repository"}})
	s.must(err)
	_, _, err = as.CreatePublicKey(sdk.CreateKeyOption{Title: "rdev", Key: newPublicKey(s.t)})
	s.must(err)
	s.passwords[name] = password
}

// sql runs statements in a database, that of projects where it is "".
func (s *strangers) sql(database string, statements ...string) {
	s.t.Helper()
	config := s.pool.Config().ConnConfig.Copy()
	if database != "" {
		config.Database = database
	}
	conn, err := pgx.ConnectConfig(s.t.Context(), config)
	s.must(err)
	for _, statement := range statements {
		if _, err := conn.Exec(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
	s.must(conn.Close(s.t.Context()))
}

// dropAll removes from the server, which other tests have, too, all that has the tag.
func (s *strangers) dropAll() {
	ctx := context.WithoutCancel(s.t.Context())
	_, err := s.pool.Exec(ctx, "drop table if exists public.of_"+s.tag)
	s.must(err)
	for _, query := range []string{
		`select format('drop database %I with (force)', datname) from pg_database where datname like '%' || $1 || '%'`,
		`select format('drop role %I', rolname) from pg_roles where rolname like '%' || $1 || '%'`,
	} {
		rows, err := s.pool.Query(ctx, query, s.tag)
		s.must(err)
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		s.must(err)
		for _, statement := range statements {
			_, err := s.pool.Exec(ctx, statement)
			s.must(err)
		}
	}
}

// newPublicKey is a key as an authorized_keys has it.
func newPublicKey(t testing.TB) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(key))
}
