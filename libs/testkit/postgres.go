package testkit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/database/local"
	"github.com/orchard9/rdev/libs/envutil"
)

// testTimeZone is one that no machine and no developer has by accident, with an
// offset of half an hour: a test that relies on the zone of the server fails.
const testTimeZone = "America/St_Johns"

// postgresPatience bounds the start of the server, a download included, and
// each step after it.
const postgresPatience = 5 * time.Minute

// postgresServer is the one server of this test process. It is never stopped:
// it ends with the process, and its directory is used again by a later one.
var postgresServer = sync.OnceValues(startPostgres)

// Postgres returns the URL of an empty database that belongs to this test and is
// dropped at its end. The server is the one at RDEV_TEST_DATABASE_URL, whose user
// must be allowed to create databases, or else one that is started for this test
// process, without fsync.
func Postgres(t testing.TB) string {
	t.Helper()
	server, err := postgresServer()
	if err != nil {
		t.Fatalf("start PostgreSQL for the tests: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text()[:16])
	if err := execute(server.URL(""), "create database "+name, "alter database "+name+" set timezone = '"+testTimeZone+"'"); err != nil {
		t.Fatalf("create a database for the test: %v", err)
	}
	t.Cleanup(func() {
		// Force: a test that leaves connections open does not keep the database.
		if err := execute(server.URL(""), "drop database if exists "+name+" with (force)"); err != nil {
			t.Errorf("drop the database of the test: %v", err)
		}
	})
	return server.URL(name)
}

// execute runs statements on a connection of their own.
func execute(address string, statements ...string) error {
	// Not the context of the test: that one has ended when the database is dropped.
	ctx, cancel := context.WithTimeout(context.Background(), postgresPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return errors.Join(err, conn.Close(ctx))
		}
	}
	return conn.Close(ctx)
}

// postgresEnvironment is what the tests take from the environment.
type postgresEnvironment struct {
	// URL of a server on which the tests create their databases.
	URL string `env:"RDEV_TEST_DATABASE_URL"`
	// Registry from which the server is fetched if the machine has none.
	Registry string `env:"npm_config_registry"`
}

// startPostgres takes the first directory that no other test process uses. There
// are as many as test processes ever ran at once, so that nothing piles up.
func startPostgres() (*local.Server, error) {
	environment, err := envutil.Load[postgresEnvironment]()
	if err != nil {
		return nil, err
	}
	if environment.URL != "" {
		if _, err := url.Parse(environment.URL); err != nil {
			return nil, errors.New("RDEV_TEST_DATABASE_URL is not a URL")
		}
		return local.Start(context.Background(), local.Options{URL: environment.URL})
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(cache, "rdev", "test")
	ctx, cancel := context.WithTimeout(context.Background(), postgresPatience)
	defer cancel()
	for slot := range 100 {
		server, err := local.Start(ctx, local.Options{
			Dir:      filepath.Join(root, "postgres-"+strconv.Itoa(slot)),
			Template: filepath.Join(root, "template"),
			Registry: environment.Registry,
		})
		if !errors.Is(err, local.ErrInUse) {
			return server, err
		}
	}
	return nil, fmt.Errorf("all test directories in %s are in use", root)
}
