package gitea

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// generic is the topic of all repositories that rdev makes, for people. It is no mark.
const generic = "rdev"

// marks are the topics of projects, of whatever installation.
var marks = regexp.MustCompile(`^rdev-[0-9a-f]{20}$`)

// state is what a repository is to a project.
type state string

const (
	missing  state = "missing"
	marked   state = "marked"
	halfMade state = "half made" // by us, who were cut off before it had its topic
	moved    state = "moved"     // it has the topic, and another name
	foreign  state = "foreign"
)

// found is what there is of a name.
type found struct {
	*sdk.Repository // nil where there is nothing

	topics []string
	state  state
}

// own looks for a project's own repository.
func (s *session) own(slug string) (found, error) {
	name := s.forge.config.Organization + "/" + slug
	f, err := s.lookClosely(name)
	if err != nil || f.Repository == nil {
		return f, err
	}
	here := strings.EqualFold(f.FullName, name)
	switch {
	case slices.Contains(f.topics, s.forge.topicOf(slug)) && here:
		f.state = marked
	case slices.Contains(f.topics, s.forge.topicOf(slug)):
		f.state = moved
	case !here: // somebody else's that had the name once: that is free
		return found{state: missing}, nil
	case f.Empty && f.Description == s.forge.descriptionOf(slug) && !slices.ContainsFunc(f.topics, func(topic string) bool { return topic != generic }):
		f.state = halfMade
	default:
		f.state = foreign
	}
	return f, nil
}

// look finds a repository by its full name, or by one that it had.
func (s *session) look(name string) (found, error) {
	owner, short, _ := strings.Cut(name, "/")
	repository, response, err := s.GetRepo(owner, short)
	if status(response) == http.StatusNotFound {
		return found{state: missing}, nil
	}
	if err != nil {
		return found{}, failed("look for the repository "+name, response, err)
	}
	return found{Repository: repository, state: foreign}, nil
}

// lookClosely is look with the topics.
func (s *session) lookClosely(name string) (found, error) {
	f, err := s.look(name)
	if err != nil || f.Repository == nil {
		return f, err
	}
	topics, response, err := s.ListRepoTopics(f.Owner.UserName, f.Name, sdk.ListRepoTopicsOptions{ListOptions: sdk.ListOptions{PageSize: pageSize}})
	if err != nil {
		return f, failed("read the topics of "+f.FullName, response, err)
	}
	f.topics = topics // at most 25, as Gitea has it
	return f, nil
}

// usable says why a project cannot have its own repository as it is.
func (s *session) usable(slug string, f found) error {
	name := s.forge.config.Organization + "/" + slug
	switch {
	case f.state == foreign:
		return failure(contract.ClassUser, "a repository %s is there, and is not this installation's: its description is %q, and its topics are [%s]: have the project adopt it, or rename it",
			f.FullName, f.Description, strings.Join(f.topics, " "))
	case f.state == moved:
		return failure(contract.ClassUser, "the repository %s has become %s: give it its name back, or take the topic %s from it, and it is nobody's", name, f.FullName, s.forge.topicOf(slug))
	case f.Repository != nil && f.Archived:
		return failure(contract.ClassUser, "the repository %s is archived: unarchive it", f.FullName)
	}
	return nil
}

// adopted is the repository that a project takes as it is.
func (s *session) adopted(name string) (found, error) {
	if owner, short, ok := strings.Cut(name, "/"); !ok || owner == "" || short == "" || strings.Contains(short, "/") {
		return found{}, failure(contract.ClassUser, "%q is not the full name of a repository, as team/shop", name)
	}
	return s.lookClosely(name)
}

// adoptable says why a project cannot take a repository as it is.
func adoptable(name string, f found) error {
	switch {
	case f.Repository == nil:
		return failure(contract.ClassUser, "there is no repository %s that the token of Gitea lets rdev see", name)
	case slices.ContainsFunc(f.topics, marks.MatchString):
		return failure(contract.ClassUser, "the repository %s is a project's own, as its topics [%s] say: have the project adopt another", f.FullName, strings.Join(f.topics, " "))
	case f.Archived:
		return failure(contract.ClassUser, "the repository %s is archived: unarchive it", f.FullName)
	case f.Mirror:
		return failure(contract.ClassUser, "the repository %s is a mirror, into which nothing can be pushed", f.FullName)
	case f.Permissions == nil || !f.Permissions.Admin:
		return failure(contract.ClassAuth, "the user of the token of Gitea is no administrator of the repository %s: make it one, or set PROVISIONER_GITEA_TOKEN_FILE", f.FullName)
	}
	return nil
}

// Plan implements app.Repositories.
func (f *Forge) Plan(ctx context.Context, slug, adopt string) (string, error) {
	name := adopt
	if adopt == "" {
		name = f.config.Organization + "/" + slug
	}
	s, err := f.connect(ctx)
	if err != nil {
		return name, err
	}
	if adopt != "" {
		there, err := s.adopted(adopt)
		if err != nil {
			return name, err
		}
		if there.Repository != nil {
			name = there.FullName // it may have had that one once
		}
		return name, adoptable(adopt, there)
	}
	there, err := s.own(slug)
	if err != nil {
		return name, err
	}
	return name, s.usable(slug, there)
}

// repository is one as the port has it.
func (f found) repository() app.Repository {
	return app.Repository{
		ID: strconv.FormatInt(f.ID, 10), Name: f.FullName, CloneURL: f.CloneURL, WebURL: f.HTMLURL, Branch: f.DefaultBranch,
	}
}

// known finds a repository that Create returned, and no other that has its name now.
func (s *session) known(r app.Repository) (found, error) {
	f, err := s.look(r.Name)
	if err == nil && (f.Repository == nil || strconv.FormatInt(f.ID, 10) != r.ID) {
		err = failure(contract.ClassUser, "the repository %s is gone", r.Name)
	}
	return f, err
}
