package provisioner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
)

// stranger makes a repository of somebody else's, with all that one may have, and returns its
// full name.
func (s *strangers) stranger(n names, owner, name string) string {
	s.t.Helper()
	full := owner + "/" + name
	initialised := !s.one(4)
	description := pick(s, "", "of somebody", n.description+" ", n.other(n.description))
	if initialised && s.one(3) {
		description = n.description // a commit tells that it was not made a moment ago
	}
	mark := fmt.Sprintf("rdev-%020x", s.Uint64())
	topics := pick(s, []string{}, []string{"rdev"}, []string{"go", n.topic[:len(n.topic)-1]}, []string{"rdev", mark})
	if slices.Contains(topics, mark) {
		s.inTheWay["adopt "+full] = full
	}
	r, _, err := s.gitea.CreateOrgRepo(owner, sdk.CreateRepoOption{Name: name, Private: !s.one(4), AutoInit: initialised, DefaultBranch: pick(s, "main", "trunk"), Description: description})
	s.must(err)
	_, err = s.gitea.SetRepoTopics(owner, name, topics)
	s.must(err)
	for _, address := range some(s, s.settings.Hook+"/other", "http://127.0.0.1:1/hooks") {
		_, _, err := s.gitea.CreateRepoHook(owner, name, sdk.CreateHookOption{Type: sdk.HookTypeGitea, Active: s.one(2), Config: map[string]string{"url": address, "content_type": "json"}, Events: []string{"push"}})
		s.must(err)
	}
	for _, title := range some(s, "of somebody", mark, n.topic+"x") {
		_, _, err := s.gitea.CreateDeployKey(owner, name, sdk.CreateKeyOption{Title: title, Key: newPublicKey(s.t), ReadOnly: s.one(2)})
		s.must(err)
	}
	if s.one(2) {
		right := pick(s, sdk.AccessModeRead, sdk.AccessModeWrite, sdk.AccessModeAdmin)
		_, err := s.gitea.AddCollaborator(owner, name, "somebody-"+s.tag, sdk.AddCollaboratorOption{Permission: &right})
		s.must(err)
	}
	if initialised {
		_, _, err := s.gitea.CreateBranch(owner, name, sdk.CreateBranchOption{BranchName: "rdev"})
		s.must(err)
		_, _, err = s.gitea.CreateTag(owner, name, sdk.CreateTagOption{TagName: "v1"})
		s.must(err)
	}
	s.repos = append(s.repos, r)
	return full
}

// fillForge makes users and repositories, some of them in the way.
func (s *strangers) fillForge(n names) {
	s.person("somebody-"+s.tag, "")
	_, _, err := s.gitea.CreateOrg(sdk.CreateOrgOption{Name: s.team(), Visibility: sdk.VisibleTypePrivate})
	s.must(err)
	organization := s.settings.Organization
	for _, name := range some(s, "x"+n.slug, n.slug+"s", n.slug+"-3") {
		s.stranger(n, organization, name)
	}
	s.adopts = []string{s.stranger(n, s.team(), "thing-"+s.tag), s.stranger(n, s.team(), n.slug)}
	switch s.IntN(3) {
	case 0:
		full := s.stranger(n, organization, n.slug)
		s.adopts, s.inTheWay["repository "+full] = append(s.adopts, full), full
	case 1: // the name leads to another repository
		s.stranger(n, organization, n.slug)
		name := "was-" + n.slug
		r, _, err := s.gitea.EditRepo(organization, n.slug, sdk.EditRepoOption{Name: &name})
		s.must(err)
		s.repos[len(s.repos)-1] = r
		s.adopts = append(s.adopts, n.repository)
		if s.inTheWay["adopt "+n.repository] != "" {
			s.inTheWay["adopt "+r.FullName] = r.FullName
		}
	}
	for _, full := range []string{n.repository + "-2", s.team() + "/none-" + s.tag} { // of the neighbor, and of nobody
		s.adopts, s.inTheWay["adopt "+full] = append(s.adopts, full), full
	}
	if s.one(3) {
		s.person(n.user, pick(s, "", "somebody", n.fullName+"x", n.fullName))
		s.inTheWay["access "+n.slug] = n.user
	}
	s.person(n.user+"x", n.fullName)
}

// fillCI has the CI know repositories of the forge, and one of another forge by a name in the
// way.
func (s *strangers) fillCI(n names) {
	know := func(id, name string) {
		s.ci.Activate(id, name)
		for _, secret := range some(s, pick(s, "database_url", "redis_url", "database"), "npm_token", "database_url_2") {
			s.ci.PutSecret(name, secret, "theirs", "push", "pull_request")
			if secret == "database_url" || secret == "redis_url" {
				s.inTheWay["ci "+name] = name
			}
		}
		s.ci.Push(name, "main", "of somebody")
		if s.one(4) {
			s.ci.Deactivate(name)
			s.inTheWay["ci "+name] = name
		}
	}
	for _, r := range some(s, s.repos...) {
		know(fmt.Sprint(r.ID), r.FullName)
	}
	if known, _ := s.ci.Repository(n.repository); !known && s.one(3) {
		know("9"+fmt.Sprint(s.Uint32()), n.repository)
		s.inTheWay["ci "+n.repository] = n.repository
	}
}

// fillDNS makes records of the names of hosts, and of such that look like them.
func (s *strangers) fillDNS(n names) {
	put := func(kind, name, content string) {
		s.dns.Put(cloudflaretest.Record{
			Zone: cloudflaretest.ZoneID(1), Name: name, Type: kind, Content: content, TTL: pick(s, 1, 60, 300),
			Comment: pick(s, "", "of somebody", "rdev project="+n.slug),
		})
	}
	leading := func(name string) {
		switch s.IntN(4) {
		case 0:
			put("CNAME", name, "elsewhere.example.net")
		case 1:
			put("AAAA", name, "2001:db8::9")
		default:
			put("A", name, pick(s, "192.0.2.9", "203.0.113.7")) // the latter is where ours lead to
		}
	}
	if s.one(2) {
		leading("*.apps.localhost")
	}
	for _, host := range n.hosts {
		for _, name := range some(s, "x"+host, "www."+host, strings.Replace(host, ".", "s.", 1), "_rdev.x"+host, "_rdev._rdev."+host) {
			if strings.HasPrefix(name, "_") {
				put("TXT", name, n.texts[host])
				continue
			}
			leading(name)
		}
		for _, beside := range some(s, [2]string{"MX", "mail.example.net"}, [2]string{"TXT", "v=spf1 -all"}, [2]string{"CAA", "0 issue ca.example.net"}, [2]string{"TXT", n.texts[host]}) {
			put(beside[0], host, beside[1])
		}
		if s.one(3) {
			put("TXT", "_rdev."+host, `"heritage=external-dns,external-dns/owner=one"`)
		}
		marked, leads := s.one(4), s.one(4)
		if marked {
			put("TXT", "_rdev."+host, pick(s, n.other(n.texts[host]), strings.Replace(n.texts[host], n.slug, n.slug+"-2", 1), `"heritage=rdev"`))
		}
		if leads {
			leading(host)
		}
		if marked || leads {
			s.inTheWay["dns "+host] = host
		}
	}
}

// fillDatabases makes roles and databases, with tables in them, and some in the way.
func (s *strangers) fillDatabases(n names) {
	other := "other_" + s.tag
	s.sql("", "create role "+other+" createdb password 'x'", "create table public.of_"+s.tag+" as select 'theirs' as text", "grant select on public.of_"+s.tag+" to "+other)
	comment := func(on, name string) string {
		return "comment on " + on + " " + name + " is '" + pick(s, "of somebody", n.other(n.comment), n.comment+"-2", n.comment+" ", "kept, was "+n.comment) + "'"
	}
	fill := func(name string) {
		s.sql("", "create database "+name+" owner "+other, comment("database", name))
		s.sql(name, "create table orders as select i, md5(i::text) from generate_series(1, 5) i", "grant select on orders to public", "create schema more authorization "+other, "create view more.seen as select 'theirs' as text")
	}
	for _, name := range some(s, n.database+"_2", "x"+n.database) {
		fill(name)
		s.sql("", "create role "+name+" login password 'x'", "grant "+name+" to "+other, comment("role", name))
	}
	role, database := s.one(3), s.one(3)
	if role {
		s.sql("", "create role "+n.database+" login password 'x'", comment("role", n.database), "grant "+other+" to "+n.database)
	}
	if database {
		fill(n.database)
	}
	if role || database {
		s.inTheWay["database "+n.slug] = n.database
	}
}

// fillCaches makes users and keys of Redis.
func (s *strangers) fillCaches(n names) {
	do := func(words ...any) { s.must(s.redis.Do(s.t.Context(), words...).Err()) }
	near := []string{n.cache[:len(n.cache)-1], n.cache + "s", n.cache + "-2s", "x" + n.cache, strings.ToUpper(n.cache), n.cache + "*", strings.Replace(n.cache, "rdev-", "rdev-0", 1)}
	for _, name := range some(s, near...) {
		do("ACL", "SETUSER", name, pick(s, "on", "off"), ">theirs", "~"+pick(s, n.cache, name)+":*", "&*", pick(s, "+@all", "+get"))
	}
	for i, name := range some(s, append(near, n.cache, n.cache+"-2:more", "shop")...) {
		do("SET", name, "theirs")
		do("RPUSH", name+"-list", 1, 2, i)
		if name != n.cache { // below that they would be in the way
			do("SET", name+":theirs", "x", "PX", pick(s, time.Hour, 2*time.Hour).Milliseconds())
		}
	}
	if s.one(3) {
		do("HSET", n.cache+":theirs", "field", "x")
		s.inTheWay["cache "+n.slug] = n.cache
	}
}

// fillFiles makes directories beside those of projects.
func (s *strangers) fillFiles(n names) {
	for _, name := range some(s, "x"+n.slug, n.slug+"s", n.slug+".old", "."+n.slug, filepath.Join(".trash", n.slug+"-3.x"), filepath.Join(".trash", "x"+n.slug+".x")) {
		dir := filepath.Join(s.settings.Workspaces, name)
		s.must(os.MkdirAll(filepath.Join(dir, "workspace"), 0o750))
		s.must(os.WriteFile(filepath.Join(dir, "workspace", "file"), []byte("theirs"), 0o640))
		s.must(os.WriteFile(filepath.Join(dir, "port"), []byte(pick(s, "20000\n", "no port\n")), 0o600))
	}
	link := filepath.Join(s.settings.Workspaces, ".routes", "x"+n.hosts[0])
	s.must(os.Symlink("../x"+n.slug, link))
}

// fillVault makes credentials of the installation, and of the neighbor.
func (s *strangers) fillVault(n names) {
	for _, request := range []contract.PutCredential{
		{Name: contract.DatabaseURL, Value: "theirs", Projects: []string{"*"}},
		{Name: contract.RepositoryToken, Value: "theirs", Projects: []string{n.slug + "*"}},
		{Name: "TOKEN", Value: "theirs", Project: n.slug + "-2"},
	} {
		_, err := ask[contract.PutCredential, contract.Credential](s.world, contract.VerbPutCredential, request)
		s.must(err)
	}
}
