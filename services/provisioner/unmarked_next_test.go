package provisioner_test

import (
	"regexp"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// next is an operation that nothing is in the way of, or one thing, as far as that can be had:
// of many one would hide the others. It may be killed, and something refused to it.
func (s *strangers) next() step {
	s.t.Helper()
	slug := pick(s, s.taken, s.taken, s.free)
	project := s.now(slug)
	next, inTheWay := step{}, s.IntN(2)
	for range 20 {
		next.op = s.draw(slug, project)
		if len(s.obstacles(next.op, project)) == inTheWay {
			break
		}
	}
	switch s.IntN(4) {
	case 0:
		next.killAt = 1 + s.IntN(40)
		if next.op.Kind == contract.KindProjectCreate {
			next.killAt = 1 + s.IntN(150)
		}
	case 1:
		next.refuses = pick(s, "/api/v1/admin/users", "POST /api/v1/orgs/", "POST /api/v1/repos/", "PUT /api/v1/repos/", "DELETE /api/v1/repos/", "DELETE /api/v1/", "PATCH /api/v1/",
			"/topics", "/hooks", "/collaborators/", "/tokens", "GET /client/v4/", "POST /client/v4/", "DELETE /client/v4/", "POST /api/repos", "DELETE /api/repos", "/secrets")
	}
	return next
}

// draw is an operation that a project as it is may have, and now and then any.
func (s *strangers) draw(slug string, project contract.Project) contract.Operation {
	const change, repair, remove = contract.KindProjectChange, contract.KindProjectRepair, contract.KindProjectDelete
	kinds := contract.ProjectKinds()
	switch {
	case s.one(20):
	case project.State == contract.ProjectReady:
		kinds = []string{change, change, change, repair, remove, remove}
	case project.State == contract.ProjectDeleting:
		kinds = []string{repair, remove}
	default:
		kinds = []string{contract.KindProjectCreate}
	}
	op := contract.Operation{Kind: pick(s, kinds...), Project: slug}
	switch op.Kind {
	case contract.KindProjectCreate:
		op.Spec = s.spec(slug)
	case change:
		op.Change = s.change(slug, project)
	case remove:
		keep := slices.DeleteFunc(some(s, contract.ResourceRepository, contract.ResourceDatabase), func(name string) bool {
			part := project.Resource(name)
			return part == nil || part.Action == contract.ProvisionAdopt
		})
		op.Change = &contract.ProjectChange{Keep: keep}
	}
	return op
}

// spec is what a new project is to have.
func (s *strangers) spec(slug string) *contract.ProjectSpec {
	spec := &contract.ProjectSpec{Slug: slug, Template: pick(s, "default", "go-api", "monorepo"), Database: s.one(2), Cache: s.one(2)}
	for _, host := range some(s, hostsOf(slug)...) {
		spec.Domains = append(spec.Domains, contract.Domain{Host: host})
	}
	switch s.IntN(4) {
	case 0:
	case 1:
		spec.Repository = &contract.RepositorySpec{Adopt: s.adopt(slug), NoCI: s.one(4)}
	default:
		spec.Repository = &contract.RepositorySpec{NoCI: s.one(4)}
	}
	return spec
}

// hostsOf are those that projects of a slug have.
func hostsOf(slug string) []string {
	return []string{slug + ".apps.localhost", "www-" + slug + ".apps.localhost", "more-" + slug + ".apps.localhost"}
}

// adopt is one of the names of a repository that the other project has not.
func (s *strangers) adopt(slug string) string {
	other := s.taken
	if slug == s.taken {
		other = s.free
	}
	has := ""
	if r := s.now(other).Resource(contract.ResourceRepository); r != nil {
		has = r.External[contract.ExternalName]
	}
	name := pick(s, slices.DeleteFunc(slices.Clone(s.adopts), func(name string) bool { full, _ := s.called(name); return full == has })...)
	if s.one(4) {
		return strings.ToUpper(name)
	}
	return name
}

// called is how the forge calls a repository that has, or had, a name, and whether there is
// one: a name leads to another no more once a project had it.
func (s *strangers) called(name string) (full string, there bool) {
	owner, short, _ := strings.Cut(name, "/")
	if r, _, err := s.gitea.GetRepo(owner, short); err == nil {
		return r.FullName, true
	}
	return strings.ToLower(name), false
}

// change is one that a project may have.
func (s *strangers) change(slug string, project contract.Project) *contract.ProjectChange {
	var spec contract.ProjectSpec
	if project.Spec != nil {
		spec = *project.Spec
	}
	change := &contract.ProjectChange{}
	switch s.IntN(6) {
	case 0:
		wish := !spec.Database
		change.Database = &wish
	case 1:
		wish := !spec.Cache
		change.Cache = &wish
	case 2:
		change.Rotate = slices.DeleteFunc(some(s, contract.ResourceDatabase, contract.ResourceCache, contract.ResourceAccess), func(name string) bool {
			return project.Resource(name) == nil && !s.one(8)
		})
	case 3:
		if spec.Template == "monorepo" && spec.Repository != nil && spec.Repository.Adopt == "" {
			change.AddComponents = []contract.Component{{Kind: "service", Name: "s" + string('a'+rune(len(spec.Components)))}}
		}
	default:
		for _, host := range some(s, hostsOf(slug)...) {
			if spec.Domain(host) != nil {
				change.RemoveDomains = append(change.RemoveDomains, host)
			} else {
				change.AddDomains = append(change.AddDomains, contract.Domain{Host: host})
			}
		}
	}
	return change
}

// obstacles are what is in the way of an operation. Of one that makes no sense as the project
// is, it is that.
func (s *strangers) obstacles(op contract.Operation, project contract.Project) (names []string) {
	var before, target contract.ProjectSpec
	var failure *contract.Failure
	senseless := project.State == ""
	switch op.Kind {
	case contract.KindProjectCreate:
		target, senseless = *op.Spec, !senseless
	case contract.KindProjectChange:
		if senseless = project.State != contract.ProjectReady; !senseless {
			before = *project.Spec
			target, failure = before.After(*op.Change, project.Resources)
		}
	}
	if senseless || failure != nil {
		return []string{op.Project}
	}
	if r := target.Repository; r != nil && r.Adopt != "" && before.Repository == nil {
		if name, there := s.called(r.Adopt); !there {
			names = append(names, name)
		}
	}
	for _, part := range s.parts(before, target) {
		if name, ok := s.inTheWay[part]; ok {
			names = append(names, name)
		}
	}
	return names
}

// parts are those that a project gets, as inTheWay has them.
func (s *strangers) parts(before, target contract.ProjectSpec) (parts []string) {
	if r := target.Repository; r != nil && before.Repository == nil {
		name, kind := s.settings.Organization+"/"+target.Slug, "repository "
		if r.Adopt != "" {
			name, _ = s.called(r.Adopt)
			kind = "adopt "
		}
		parts = append(parts, kind+name, "access "+target.Slug)
		if !r.NoCI {
			parts = append(parts, "ci "+name)
		}
	}
	if target.Database && !before.Database {
		parts = append(parts, "database "+target.Slug)
	}
	if target.Cache && !before.Cache {
		parts = append(parts, "cache "+target.Slug)
	}
	for _, domain := range target.Domains {
		if before.Domain(domain.Host) == nil {
			parts = append(parts, "host "+domain.Host, "dns "+domain.Host)
		}
	}
	return parts
}

// remedies are in what people are told to do, and in what makes no sense.
var remedies = regexp.MustCompile(`rename it|remove it|remove them|remove that record|choose another|adopt another|adopt it|activate it|exists already|there is no|is being deleted|is deleting|has no `)

// isClear tells whether a message names something that is in the way, and says what to do.
func isClear(message string, inTheWay []string) bool {
	message = strings.ToLower(message)
	return remedies.MatchString(message) && slices.ContainsFunc(inTheWay, func(name string) bool { return strings.Contains(message, name) })
}
