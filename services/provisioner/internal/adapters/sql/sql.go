// Package sql makes the databases of projects on a PostgreSQL, or a CockroachDB, of the
// operator's.
//
// A project's database and its role have one name, which is made of the slug and of the
// installation's id, and both have a mark, as their comment. The role comes first, and has
// its mark from its first moment on; it is made only where there is no database of the
// name, and is the last to go. So what a crash leaves is always known: a database of that
// name that has no comment yet, belongs to us, and has a marked role beside it was made by
// us. Every other database without the mark is somebody else's, and stays as it is.
//
// Each statement is a transaction of its own, and each method may be called again
// whatever became of the call before.
package sql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout = 10 * time.Second
	// statementTimeout is long: CockroachDB waits for the leases of long transactions
	// before it changes rights.
	statementTimeout = 3 * time.Minute
	closeTimeout     = 5 * time.Second
)

// Server implements app.Databases.
type Server struct {
	config       *pgx.ConnConfig // of who makes databases
	query        url.Values      // what projects need of the address, too
	installation string
}

// New takes the URL of a role that may create databases and roles, and the id of this
// installation. It does not connect.
func New(address, installation string) (*Server, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
		// The cause would repeat the URL, and with it the password.
		return nil, errors.New("it is not of the form postgres://user:password@host:port/database")
	}
	pool, err := pgxpool.ParseConfig(address) // it may have the settings of a pool
	if err != nil {
		return nil, errors.New("it is not a URL with which one can connect to PostgreSQL")
	}
	config := pool.ConnConfig
	config.ConnectTimeout = connectTimeout
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = "rdev-projects"
	query := url.Values{}
	for _, name := range []string{"sslmode", "options"} {
		if value := parsed.Query().Get(name); value != "" {
			query.Set(name, value)
		}
	}
	return &Server{config: config, query: query, installation: installation}, nil
}

// session is a connection of who makes databases.
type session struct {
	*pgx.Conn

	dialect dialect
	user    string
}

// connect connects to a database, that of the URL where it is "".
func (s *Server) connect(ctx context.Context, database string) (*session, error) {
	config := s.config.Copy()
	if database != "" {
		config.Database = database
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &session{Conn: conn}
	var version string
	err = c.read(ctx, `select version(), current_user::text`, nil, &version, &c.user)
	if err == nil {
		c.dialect, err = dialectOf(version)
	}
	if err != nil {
		c.close(ctx)
		return nil, fmt.Errorf("ask the server who it is: %w", err)
	}
	return c, nil
}

// close says goodbye. What was done is done.
func (c *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = c.Close(ctx)
}

// exec runs statements one by one, each by itself.
func (c *session) exec(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, statementTimeout)
			defer cancel()
			_, err := c.Exec(ctx, statement)
			return err
		}()
		if err != nil {
			return err
		}
	}
	return nil
}

// read scans the one row of a query.
func (c *session) read(ctx context.Context, query string, args []any, into ...any) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return c.QueryRow(ctx, query, args...).Scan(into...)
}

// nameOf is the name of a project's database and of its role, of at most 61 of a-z, 0-9
// and _. Two slugs, or two installations, never share one: the digest tells them apart.
func (s *Server) nameOf(slug string) string {
	sum := sha256.Sum256([]byte(s.installation + "\x00" + slug))
	return "project_" + strings.ReplaceAll(slug, "-", "_") + "_" + hex.EncodeToString(sum[:6])
}

// markOf is the comment of what belongs to a project of this installation.
func (s *Server) markOf(slug string) string { return s.markPrefix() + slug }

func (s *Server) markPrefix() string { return "rdev installation=" + s.installation + " project=" }

// host is where the server is, in words.
func (s *Server) host() string {
	if strings.HasPrefix(s.config.Host, "/") {
		return s.config.Host
	}
	return net.JoinHostPort(s.config.Host, strconv.Itoa(int(s.config.Port)))
}

// urlOf is how a role reaches the database of its name.
func (s *Server) urlOf(name, password string) string {
	address := url.URL{Scheme: "postgres", User: url.UserPassword(name, password), Path: "/" + name}
	query := url.Values{}
	for name := range s.query {
		query.Set(name, s.query.Get(name))
	}
	if strings.HasPrefix(s.config.Host, "/") {
		query.Set("host", s.config.Host)
		query.Set("port", strconv.Itoa(int(s.config.Port)))
	} else {
		address.Host = s.host()
	}
	address.RawQuery = query.Encode()
	return address.String()
}
