package sql

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

const denied = "42501"

// What a project's role may not do to another project, to the server, and to rdev. What it
// may, and cannot be forbidden by who makes databases, is tried as well: docs/databases.md
// names it.
func TestAProjectReachesNothingOfAnother(t *testing.T) {
	w := newWorld(t)
	s := w.server("shop", "blog")
	shop, blog := w.create(s, "shop"), w.create(s, "blog")
	rdev := w.all.Config().Database // its own database, whose schemas it makes
	w.exec("create schema audit", "create table audit.operations (id int)", "create table public.ours (id int)")
	if _, err := w.connect(blog.URL).Exec(t.Context(), "create table posts (id int); grant all on posts to public; grant all on posts to "+shop.Role); err != nil {
		t.Fatal(err)
	}

	for _, database := range []string{blog.Name, "template0"} {
		conn, err := pgx.Connect(t.Context(), elsewhere(t, shop.URL, database))
		if err == nil {
			_ = conn.Close(t.Context())
		}
		if got := code(err); got != denied && got != "55000" { // template0 takes nobody
			t.Errorf("it connects to %s: %s", database, got)
		}
	}

	own := w.connect(shop.URL)
	for _, statement := range []string{
		"drop database " + blog.Name, "alter database " + blog.Name + " rename to mine", "alter database " + blog.Name + " set timezone = 'UTC'",
		"alter database " + shop.Name + " owner to " + shop.Role, "alter database " + shop.Name + " connection limit 1", "comment on database " + shop.Name + " is ''",
		"create database more", "create role more", "create user more superuser", "alter role " + blog.Role + " password 'x'", "alter role " + blog.Role + " nologin",
		"alter role " + shop.Role + " superuser", "alter role " + shop.Role + " createdb", "alter role " + shop.Role + " connection limit -1", "comment on role " + shop.Role + " is ''",
		"grant " + blog.Role + " to " + shop.Role, "grant " + w.user + " to " + shop.Role, "grant pg_read_server_files to " + shop.Role, "grant " + shop.Role + " to " + blog.Role,
		"set role " + blog.Role, "set role " + w.user, "set session authorization " + blog.Role, "reassign owned by " + blog.Role + " to " + shop.Role, "drop owned by " + blog.Role,
		"drop role " + blog.Role, "drop role " + shop.Role,
		"select rolpassword from pg_authid", "select pg_read_file('PG_VERSION')", "select pg_ls_dir('.')", "copy (select 1) to program 'true'", "copy (select 1) to '/tmp/x'",
		"create extension postgres_fdw", "create extension dblink", "create extension file_fdw", "alter system set fsync = off", "select pg_reload_conf()",
		"create event trigger x on ddl_command_start execute function f()", "create publication x for all tables", "checkpoint",
	} {
		_, err := own.Exec(t.Context(), statement)
		if got := code(err); got != denied {
			t.Errorf("%s: %s", statement, got)
		}
	}
	// Of the database that it is connected to the server says another thing first.
	for _, c := range []struct{ statement, code string }{
		{"drop database " + shop.Name, denied}, {"drop database " + shop.Name + " with (force)", denied}, {"alter database " + shop.Name + " rename to mine", denied},
	} {
		if _, err := own.Exec(t.Context(), c.statement); code(err) != c.code {
			t.Errorf("%s: %v", c.statement, err)
		}
	}
	var ended int
	if err := own.QueryRow(t.Context(), `select count(*) from pg_stat_activity where usename <> current_user and query not in ('', '<insufficient privilege>')`).Scan(&ended); err != nil || ended > 0 {
		t.Errorf("it sees %d statements of others (%v)", ended, err)
	}
	if _, err := own.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where usename = '`+w.all.Config().User+`' limit 1`); code(err) != denied {
		t.Errorf("it ends a session: %v", err)
	}

	// What it grants in its own database helps nobody: these are no errors to the server.
	for _, statement := range []string{
		"grant connect on database " + shop.Name + " to " + blog.Role, "grant connect on database " + shop.Name + " to public",
		"grant usage, create on schema public to " + blog.Role,
	} {
		if _, err := own.Exec(t.Context(), statement); err != nil && code(err) != denied {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if conn, err := pgx.Connect(t.Context(), elsewhere(t, blog.URL, shop.Name)); code(err) != denied {
		t.Errorf("the other connects: %v", err)
		if err == nil {
			_ = conn.Close(t.Context())
		}
	}

	// rdev's own database, where that is on the same server and lets everybody in: its
	// schemas do not, and its public schema takes nothing.
	inside := w.connect(elsewhere(t, shop.URL, rdev))
	for _, statement := range []string{"select * from audit.operations", "create table audit.x (id int)", "create table public.x (id int)", "create schema x", "select * from public.ours", "drop table public.ours"} {
		if _, err := inside.Exec(t.Context(), statement); code(err) != denied {
			t.Errorf("%s: %v", statement, err)
		}
	}

	// What holds on any PostgreSQL: it can connect where everybody can, and names are no
	// secret.
	anywhere := w.connect(elsewhere(t, shop.URL, "postgres"))
	var names string
	if err := anywhere.QueryRow(t.Context(), `select string_agg(datname, ' ') from pg_database`).Scan(&names); err != nil || !strings.Contains(names, blog.Name) {
		t.Errorf("it sees %s, %v", names, err)
	}
	if _, err := anywhere.Exec(t.Context(), "create table public.x (id int)"); code(err) != denied {
		t.Errorf("it makes a table in postgres: %v", err)
	}

	// A right that another gave it does not hold up its end, nor do its sessions.
	if err := s.Drop(t.Context(), "shop"); err != nil {
		t.Error(err)
	}
	if got := w.there(shop.Name); got != "" {
		t.Errorf("left is %s", got)
	}
	var posts int
	if err := w.connect(blog.URL).QueryRow(t.Context(), `select count(*) from posts`).Scan(&posts); err != nil {
		t.Errorf("the other has lost something: %v", err)
	}
}

func TestAProjectHasSoManyConnections(t *testing.T) {
	w := newWorld(t)
	made := w.create(w.server("shop"), "shop")
	for range 20 {
		w.connect(made.URL)
	}
	conn, err := pgx.Connect(t.Context(), made.URL)
	if err == nil {
		_ = conn.Close(t.Context())
	}
	if code(err) != "53300" {
		t.Errorf("one more: %v", err)
	}
}
