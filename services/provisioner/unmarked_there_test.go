package provisioner_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/jackc/pgx/v5"
)

// things are all that there is in all systems: what is known of each, in lines, by what it is.
type things map[string]string

// only are those of the things that others have, too.
func (t things) only(others things) things {
	some := maps.Clone(t)
	maps.DeleteFunc(some, func(what, _ string) bool { _, ok := others[what]; return !ok })
	return some
}

// look is all that there is now. Names of everything have the tag.
func (s *strangers) look() things {
	s.t.Helper()
	all := things{}
	for _, look := range []func(things) error{
		s.lookAtRepositories, s.lookAtUsers, s.lookAtPipelines, s.lookAtRecords, s.lookAtRoles, s.lookAtDatabases, s.lookAtCaches, s.lookAtFiles, s.lookAtVault,
	} {
		if err := look(all); err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}

// line is something as a line of text.
func line(of ...any) string {
	var words []string
	for _, word := range of {
		if text, ok := word.(string); ok {
			words = append(words, text)
			continue
		}
		text, err := json.Marshal(word)
		if err != nil {
			panic(err) // it came as JSON
		}
		words = append(words, string(text))
	}
	return strings.Join(words, " ")
}

// lookAtRepositories notes each with all that people see of it.
func (s *strangers) lookAtRepositories(all things) error {
	repositories, _, err := s.gitea.SearchRepos(sdk.SearchRepoOptions{ListOptions: sdk.ListOptions{PageSize: 50}, Keyword: s.tag})
	for _, r := range repositories {
		lines, more := s.repository(r)
		err = errors.Join(err, more)
		all[fmt.Sprintf("repository %d", r.ID)] = strings.Join(lines, "\n")
	}
	if len(repositories) == 50 {
		return errors.New("there are more repositories than a page has")
	}
	return err
}

func (s *strangers) repository(r *sdk.Repository) (lines []string, err error) {
	owner, name := r.Owner.UserName, r.Name
	lines = append(lines, line(r.FullName, "described", r.Description, "branch", r.DefaultBranch, "private", r.Private, "archived", r.Archived, "issues", r.OpenIssues, r.HasWiki, r.AllowMerge, r.Website))
	topics, _, err := s.gitea.ListRepoTopics(owner, name, sdk.ListRepoTopicsOptions{})
	slices.Sort(topics)
	lines = append(lines, line("topics", topics))
	refs, response, refsErr := s.gitea.GetRepoRefs(owner, name, "")
	if response != nil && (response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusConflict) {
		refsErr = nil // it is empty
	}
	for _, ref := range refs {
		lines = append(lines, line("ref", ref.Ref, ref.Object.SHA))
	}
	hooks, _, hooksErr := s.gitea.ListRepoHooks(owner, name, sdk.ListHooksOptions{})
	for _, hook := range hooks {
		slices.Sort(hook.Events)
		lines = append(lines, line("hook", hook.Config["url"], hook.ID, hook.Active, hook.Events))
	}
	keys, _, keysErr := s.gitea.ListDeployKeys(owner, name, sdk.ListDeployKeysOptions{})
	for _, key := range keys {
		lines = append(lines, line("key", key.Title, key.ID, key.Key, key.ReadOnly))
	}
	people, _, peopleErr := s.gitea.ListCollaborators(owner, name, sdk.ListCollaboratorsOptions{})
	err = errors.Join(err, refsErr, hooksErr, keysErr, peopleErr)
	for _, person := range people {
		right, _, rightErr := s.gitea.CollaboratorPermission(owner, name, person.UserName)
		if err = errors.Join(err, rightErr); rightErr == nil {
			lines = append(lines, line("right", person.UserName, string(right.Permission)))
		}
	}
	return lines, err
}

// lookAtUsers notes those of Gitea with their keys, and its organizations with their members.
func (s *strangers) lookAtUsers(all things) error {
	users, _, err := s.gitea.AdminListUsers(sdk.AdminListUsersOptions{ListOptions: sdk.ListOptions{PageSize: 50}, Query: s.tag})
	for _, user := range users {
		user.LastLogin = user.Created // changes as it comes in
		keys, _, keysErr := s.gitea.ListPublicKeys(user.UserName, sdk.ListPublicKeysOptions{})
		organizations, _, organizationsErr := s.gitea.ListUserOrgs(user.UserName, sdk.ListOrgsOptions{})
		err = errors.Join(err, keysErr, organizationsErr)
		text := line(user, keys, len(organizations))
		if password, ok := s.passwords[user.UserName]; ok { // which is as it was, or this fails
			tokens, tokensErr := s.tokens(user.UserName, password)
			err = errors.Join(err, tokensErr)
			text += line("\ntokens", tokens)
		}
		all["user "+user.UserName] = text
	}
	for _, name := range []string{s.settings.Organization, s.team()} {
		organization, _, organizationErr := s.gitea.GetOrg(name)
		members, _, membersErr := s.gitea.ListOrgMembership(name, sdk.ListOrgMembershipOption{})
		err = errors.Join(err, organizationErr, membersErr)
		all["organization "+name] = line(organization, len(members))
	}
	return err
}

// tokens are the names and ids of those that a user has.
func (s *strangers) tokens(user, password string) (names []string, err error) {
	as, err := s.as(user, password)
	if err != nil {
		return nil, err
	}
	tokens, _, err := as.ListAccessTokens(sdk.ListAccessTokensOptions{})
	for _, token := range tokens {
		names = append(names, fmt.Sprint(token.Name, token.ID, token.Scopes))
	}
	return names, err
}

// lookAtPipelines notes the repositories of the CI with their secrets and pipelines.
func (s *strangers) lookAtPipelines(all things) error {
	for text := range strings.SplitSeq(strings.ReplaceAll(s.ci.Dump(), "\n  ", "\r"), "\n") {
		all["in the CI "+strings.Fields(text)[0]] = strings.ReplaceAll(text, "\r", "\n  ")
	}
	return nil
}

// lookAtRecords notes those of the DNS.
func (s *strangers) lookAtRecords(all things) error {
	for _, record := range s.dns.Snapshot() {
		all["record "+record.ID] = fmt.Sprintf("%+v", record)
	}
	return nil
}

// lookAtRoles notes those of PostgreSQL with their passwords, rights and memberships.
func (s *strangers) lookAtRoles(all things) error {
	rows, err := s.pool.Query(s.t.Context(), `select rolname, concat_ws(' ', to_jsonb(a), shobj_description(oid, 'pg_authid'),
		(select string_agg(m::text, ' ' order by m) from pg_auth_members m where m.roleid = a.oid or m.member = a.oid))
		from pg_authid a where rolname like '%' || $1 || '%'`, s.tag)
	return s.note(all, "role ", rows, err)
}

// lookAtDatabases notes them with all that is in them, that on which projects have theirs as well.
func (s *strangers) lookAtDatabases(all things) error {
	rows, err := s.pool.Query(s.t.Context(), `select datname, concat_ws(' ', to_jsonb(d) - 'datfrozenxid' - 'datminmxid', pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'))
		from pg_database d where datname like '%' || $1 || '%' or datname = current_database()`, s.tag)
	found := things{}
	if err := s.note(found, "", rows, err); err != nil {
		return err
	}
	for name, text := range found {
		config := s.pool.Config().ConnConfig.Copy()
		config.Database = name
		conn, err := pgx.ConnectConfig(s.t.Context(), config)
		if err != nil {
			return err
		}
		rows, err := conn.Query(s.t.Context(), `select n.nspname || '.' || coalesce(c.relname, ''), concat_ws(' ', pg_get_userbyid(n.nspowner), n.nspacl, c.relkind, pg_get_userbyid(c.relowner), c.relacl,
			case when c.relkind in ('r', 'v') then query_to_xml(format('select * from %I.%I order by 1', n.nspname, c.relname), true, true, '') end)
			from pg_namespace n left join pg_class c on c.relnamespace = n.oid where n.nspname not like 'pg\_%' and n.nspname <> 'information_schema'`)
		inside := things{}
		if err := errors.Join(s.note(inside, "", rows, err), conn.Close(s.t.Context())); err != nil {
			return err
		}
		all["database "+name] = text + "\n" + line("inside", inside)
	}
	return nil
}

// note notes rows of a name and a text.
func (s *strangers) note(all things, kind string, rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	var name, text string
	_, err = pgx.ForEachRow(rows, []any{&name, &text}, func() error { all[kind+name] = text; return nil })
	return err
}

// lookAtCaches notes users of Redis with their rules, and keys with their values and their end.
func (s *strangers) lookAtCaches(all things) error {
	ctx := s.t.Context()
	users, err := s.redis.ACLList(ctx).Result()
	for _, rules := range users {
		all["cache user "+strings.Fields(rules)[1]] = rules
	}
	keys, keysErr := s.redis.Keys(ctx, "*").Result()
	err = errors.Join(err, keysErr)
	for _, key := range keys {
		value, valueErr := s.redis.Dump(ctx, key).Result()
		end, endErr := s.redis.PExpireTime(ctx, key).Result()
		err = errors.Join(err, valueErr, endErr)
		all["key "+key] = fmt.Sprintf("%x until %d", value, end)
	}
	return err
}

// lookAtFiles notes those below the directory of workspaces.
func (s *strangers) lookAtFiles(all things) error {
	root := s.settings.Workspaces
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += line("", string(data), info.ModTime())
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " to " + target
		}
		all["file "+strings.TrimPrefix(path, root)] = text
		return nil
	})
}

// lookAtVault notes the credentials and the hosts of all projects, as this installation's own
// database has them.
func (s *strangers) lookAtVault(all things) error {
	rows, err := s.own.Query(s.t.Context(), `select 'credential ' || project || '/' || name, c::text from credentials c union all select 'host ' || host, h::text from hosts h`)
	return s.note(all, "", rows, err)
}
