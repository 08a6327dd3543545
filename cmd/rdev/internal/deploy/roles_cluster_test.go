//go:build cluster

package deploy_test

import (
	"strings"
	"testing"
)

// rolesAreBounded asks the installation's PostgreSQL what the role of each service may
// do, and wants it to read and write in its own schema and nothing else.
func (i *installation) rolesAreBounded(t *testing.T) {
	const rights = `
		select r.rolname || ' ' || string_agg(distinct n.nspname || ':' || p.needed, ' ' order by n.nspname || ':' || p.needed)
		from pg_roles r, pg_class c join pg_namespace n on n.oid = c.relnamespace,
			unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as p (needed)
		where r.rolname like 'rdev\_%' and r.rolname <> 'rdev_migrate' and c.relkind = 'r' and c.relname <> 'goose_db_version'
			and n.nspname in ('audit', 'gateway', 'notifier', 'provisioner') and has_table_privilege(r.oid, c.oid, p.needed)
		group by r.rolname order by r.rolname`
	var want strings.Builder
	for _, service := range []string{"audit", "gateway", "notifier", "provisioner"} {
		want.WriteString("rdev_" + service)
		for _, right := range []string{"delete", "insert", "select", "truncate", "update"} {
			want.WriteString(" " + service + ":" + right)
		}
		want.WriteString("\n")
	}
	if got := i.psql(t, rights); got != want.String() {
		t.Errorf("the roles may\n%s", got)
	}
	const more = `
		select r.rolname from pg_roles r, pg_namespace n
		where r.rolname like 'rdev\_%' and r.rolname <> 'rdev_migrate' and (
			has_schema_privilege(r.oid, n.oid, 'create') or r.rolsuper or r.rolcreatedb or r.rolcreaterole or r.rolbypassrls
			or pg_has_role(r.oid, 'rdev_migrate', 'member') or has_database_privilege(r.oid, 'rdev', 'create'))`
	if got := i.psql(t, more); got != "" {
		t.Errorf("more than that may\n%s", got)
	}
}

// psql asks the superuser of the installation's PostgreSQL.
func (i *installation) psql(t *testing.T, query string) string {
	t.Helper()
	return i.kubectl(t, nil, "exec", "--namespace", services, "statefulset/postgres", "--container", "postgres", "--",
		"psql", "--host", "/run/postgresql", "--username", "postgres", "--no-psqlrc", "--tuples-only", "--no-align", "--command", query, "rdev")
}
