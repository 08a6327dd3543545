package sql

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var _ app.Databases = (*Server)(nil)

// world is a server with a role that makes databases, and with one who watches it all.
type world struct {
	t     *testing.T
	all   *pgx.Conn // a superuser
	admin string    // the role's URL
	user  string    // its name
}

func newWorld(t *testing.T) *world {
	t.Helper()
	address := testkit.Postgres(t)
	all, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, all: all, user: "test_" + strings.ToLower(rand.Text()[:16])}
	password := rand.Text()
	parsed.User = url.UserPassword(w.user, password)
	w.admin = parsed.String()
	w.exec("create role " + w.user + " login createdb createrole nosuperuser password '" + password + "'")
	t.Cleanup(func() {
		w.check(w.after("drop role " + w.user))
		w.check(all.Close(context.WithoutCancel(t.Context())))
	})
	return w
}

// after is exec once the test has ended.
func (w *world) after(statement string) error {
	_, err := w.all.Exec(context.WithoutCancel(w.t.Context()), statement)
	return err
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

func (w *world) exec(statements ...string) {
	w.t.Helper()
	for _, statement := range statements {
		if _, err := w.all.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (w *world) column(query string, args ...any) []string {
	w.t.Helper()
	rows, err := w.all.Query(w.t.Context(), query, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// server is an installation of its own on the server. What it makes is gone after the test.
func (w *world) server(slugs ...string) *Server {
	w.t.Helper()
	s, err := New(w.admin, rand.Text())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		s.config.Tracer = nil
		for _, slug := range slugs {
			w.check(s.Drop(context.WithoutCancel(w.t.Context()), slug))
		}
	})
	return s
}

// there is all that the server has of a name, with owners, comments and rights.
func (w *world) there(name string) string {
	w.t.Helper()
	return strings.Join(w.column(`
		select 'role ' || rolname || ' login ' || rolcanlogin || ' limit ' || rolconnlimit || ' comment ' || coalesce(shobj_description(oid, 'pg_authid'), '-')
			|| ' password ' || coalesce((select rolpassword from pg_authid a where a.oid = r.oid), '-')
			from pg_roles r where rolname = $1
		union all select 'database ' || datname || ' of ' || pg_get_userbyid(datdba) || ' comment ' || coalesce(shobj_description(oid, 'pg_database'), '-')
			|| ' rights ' || coalesce(datacl::text, '-') from pg_database where datname = $1
		order by 1`, name), "\n")
}

func (w *world) create(s *Server, slug string) app.Database {
	w.t.Helper()
	made, err := s.Create(w.t.Context(), slug, rand.Text())
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// connect connects as a project does.
func (w *world) connect(address string) *pgx.Conn {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(w.t.Context())) })
	return conn
}

// elsewhere is an address of another database of the server.
func elsewhere(t *testing.T, address, database string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Path = "/" + database
	return parsed.String()
}

// code is the SQLSTATE of an error, "" of none.
func code(err error) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// mortal is a process that dies before, or after, a statement.
type mortal struct {
	mu     sync.Mutex
	passed int // boundaries so far: two for each statement
	killAt int // 0 for never
	dead   bool
	said   []string
}

func (m *mortal) pass(ctx context.Context) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed++
	m.dead = m.dead || m.passed == m.killAt
	if !m.dead {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// TraceQueryStart implements pgx.QueryTracer.
func (m *mortal) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	m.mu.Lock()
	m.said = append(m.said, data.SQL)
	m.mu.Unlock()
	return m.pass(ctx)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (m *mortal) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	m.pass(ctx)
}

// killed does something that is killed at a boundary, at none where it is 0, and tells how
// many it passed.
func (w *world) killed(s *Server, killAt int, do func() error) (boundaries int) {
	w.t.Helper()
	m := &mortal{killAt: killAt}
	s.config.Tracer = m
	err := do()
	s.config.Tracer = nil
	if killAt == 0 && err != nil {
		w.t.Fatal(err)
	}
	return m.passed
}
