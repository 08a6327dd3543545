package sql

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// dialect is what a server understands of the statements that differ.
type dialect string

const (
	postgreSQL  dialect = "PostgreSQL"
	cockroachDB dialect = "CockroachDB"
)

// dialectOf reads the answer to select version().
func dialectOf(version string) (dialect, error) {
	for _, d := range []dialect{postgreSQL, cockroachDB} {
		if strings.HasPrefix(version, string(d)) {
			return d, nil
		}
	}
	return "", fmt.Errorf("%q is neither PostgreSQL nor CockroachDB", version)
}

// connectionsOfRole is how many connections a project may have, so that one does not take
// those of all. CockroachDB has no such limit.
const connectionsOfRole = "20"

// login are the options of a role that may log in.
func (d dialect) login(verifier string) string {
	if d == cockroachDB {
		return " LOGIN PASSWORD " + literal(verifier)
	}
	return " LOGIN CONNECTION LIMIT " + connectionsOfRole + " PASSWORD " + literal(verifier)
}

// createRole makes a role with its mark. To PostgreSQL these are two statements in one
// message, and so in one transaction: there is never a role without it. CockroachDB has no
// comments of roles: there the name is the mark.
func (d dialect) createRole(name, verifier, mark string) string {
	create := "CREATE ROLE " + quoted(name) + d.login(verifier)
	if d == cockroachDB {
		return create
	}
	return create + "; COMMENT ON ROLE " + quoted(name) + " IS " + literal(mark)
}

// createDatabase makes a database that belongs to who connects: its role could drop it if
// it belonged to that.
func (d dialect) createDatabase(name string) string {
	if d == cockroachDB {
		return "CREATE DATABASE " + quoted(name)
	}
	return "CREATE DATABASE " + quoted(name) + " TEMPLATE template0" // nobody is connected to that one
}

// ofDatabase are the rights that a role has on its database.
func (d dialect) ofDatabase() []string {
	if d == cockroachDB {
		return []string{"CONNECT", "CREATE"}
	}
	return []string{"CONNECT", "CREATE", "TEMPORARY"}
}

// rights let the role alone into the database.
func (d dialect) rights(name string) []string {
	return []string{
		"REVOKE ALL ON DATABASE " + quoted(name) + " FROM PUBLIC",
		"GRANT " + strings.Join(d.ofDatabase(), ", ") + " ON DATABASE " + quoted(name) + " TO " + quoted(name),
	}
}

// rightsInside are those that are given within the database.
func rightsInside(name string) []string {
	return []string{
		"REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		"GRANT ALL ON SCHEMA public TO " + quoted(name),
	}
}

// endSessions ends the sessions of a role. PostgreSQL lets only its members do so.
func (d dialect) endSessions(name string) []string {
	if d == cockroachDB {
		return []string{"CANCEL SESSIONS (SELECT session_id FROM [SHOW SESSIONS] WHERE user_name = " + literal(name) + ")"}
	}
	return []string{
		"GRANT " + quoted(name) + " TO CURRENT_USER",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = " + literal(name),
	}
}

// leave takes back what endSessions needs, of a role that stays.
func (d dialect) leave(name string) []string {
	if d == cockroachDB {
		return nil
	}
	return []string{"REVOKE " + quoted(name) + " FROM CURRENT_USER"}
}

// grants asks who has which rights on a database, but for its owner: rows of a role, or
// public, and a right.
func (d dialect) grants(name string) string {
	if d == cockroachDB {
		return `select grantee::text, privilege_type::text from [SHOW GRANTS ON DATABASE ` + quoted(name) + `] where grantee not in ('admin', 'root', current_user)`
	}
	return `select coalesce(r.rolname::text, 'public'), a.privilege_type from pg_database d
		cross join aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a left join pg_roles r on r.oid = a.grantee
		where d.datname = ` + literal(name) + ` and a.grantee <> d.datdba`
}

// grantsInside is grants of the schema public in the database that it is asked in.
func (d dialect) grantsInside() string {
	if d == cockroachDB {
		return `select grantee::text, privilege_type::text from [SHOW GRANTS ON SCHEMA public] where grantee not in ('admin', 'root', current_user)`
	}
	return `select coalesce(r.rolname::text, 'public'), a.privilege_type from pg_namespace n
		cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a left join pg_roles r on r.oid = a.grantee
		where n.nspname = 'public' and a.grantee <> n.nspowner`
}

func (d dialect) dropDatabase(name string) string {
	if d == cockroachDB {
		return "DROP DATABASE IF EXISTS " + quoted(name) + " CASCADE"
	}
	return "DROP DATABASE IF EXISTS " + quoted(name) + " WITH (FORCE)"
}

// roleMark is the expression of a role's mark.
func (d dialect) roleMark(mark string) string {
	if d == cockroachDB {
		return literal(mark)
	}
	return "coalesce(shobj_description(oid, 'pg_authid'), '')"
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal is a text in a statement that takes no arguments.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
