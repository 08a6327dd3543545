package app

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

const ownURL = "https://git.example.com/rdev/shop.git"

// repositories are projects that have a repository, by what opens it.
type repositories struct {
	readyProjects

	access map[string]string // nil where there is none
	read   int
}

func (r *repositories) Project(_ context.Context, slug string) (contract.Project, error) {
	r.read++
	p := contract.Project{Slug: slug, State: contract.ProjectReady}
	if r.access != nil {
		p.Resources = []contract.Resource{
			{Name: "workspace"},
			{Name: "repository", External: map[string]string{"clone_url": ownURL, "url": "https://git.example.com/rdev/shop"}},
			{Name: "access", External: r.access},
		}
	}
	return p, nil
}

func TestWhatIsForTheProjectsRepositoryGetsWhatOpensIt(t *testing.T) {
	const none = "project shop has no repository: give url"
	three := []string{"REPOSITORY_URL", "REPOSITORY_USER", "REPOSITORY_TOKEN"}
	git := func(verb, url string) contract.Command {
		return contract.Command{Git: &contract.Git{Verb: verb, URL: url}}
	}
	shell := contract.Command{Shell: &contract.Shell{Argv: []string{"make"}}}
	with := func(cmd contract.Command, names ...string) contract.Command {
		cmd.Credentials = names
		return cmd
	}
	setting := func(cmd contract.Command) contract.Command {
		cmd.Env = map[string]string{"REPOSITORY_TOKEN": "x"}
		return cmd
	}
	token, key := map[string]string{"user": "bot"}, map[string]string{"clone_url": "git@git.example.com:rdev/shop.git"}
	for name, c := range map[string]struct {
		access map[string]string
		cmd    contract.Command
		from   *contract.Repository
		want   []string // credentials
		url    string   // of what is cloned, or checked out
		words  string   // why it is refused
		read   int
	}{
		"clone":                                  {token, git("clone", ""), nil, three, ownURL, "", 1},
		"clone, named":                           {token, git("clone", ownURL), nil, three, ownURL, "", 1},
		"clone, named with a slash":              {token, git("clone", ownURL+"/"), nil, three, ownURL, "", 1},
		"clone, with a key":                      {key, git("clone", ""), nil, nil, ownURL, "", 1},
		"clone, without a repository":            {nil, git("clone", ""), nil, nil, "", none, 1},
		"clone of another":                       {token, git("clone", ownURL+"x"), nil, nil, ownURL + "x", "", 1},
		"clone of another, over SSH":             {token, git("clone", "git@h:a/b.git"), nil, nil, "git@h:a/b.git", "", 0},
		"clone of another, without a repository": {nil, git("clone", "https://a/b"), nil, nil, "https://a/b", "", 1},
		"some are named":                         {token, with(git("clone", ""), "NPM", "REPOSITORY_USER"), nil, []string{"NPM", "REPOSITORY_USER", "REPOSITORY_URL", "REPOSITORY_TOKEN"}, ownURL, "", 1},
		"all are named":                          {token, with(git("clone", ownURL), three...), nil, three, ownURL, "", 0},
		"one is of the command":                  {token, setting(git("clone", "")), nil, nil, ownURL, "", 1},
		"resolve":                                {token, git("resolve", ownURL), nil, three, ownURL, "", 1},
		"resolve of another":                     {token, git("resolve", "https://a/b"), nil, nil, "https://a/b", "", 1},
		"push":                                   {token, git("push", ""), nil, three, "", "", 1},
		"pull":                                   {token, git("pull", ""), nil, three, "", "", 1},
		"push, with a key":                       {key, git("push", ""), nil, nil, "", "", 1},
		"push, without a repository":             {nil, git("push", ""), nil, nil, "", "", 1},
		"push, all are named":                    {token, with(git("push", ""), three...), nil, three, "", "", 0},
		"status":                                 {token, git("status", ""), nil, nil, "", "", 0},
		"a program":                              {token, shell, nil, nil, "", "", 0},
		"a program in it":                        {token, shell, &contract.Repository{Ref: "main"}, three, ownURL, "", 1},
		"a program in it, named":                 {token, shell, &contract.Repository{URL: ownURL, Ref: "main"}, three, ownURL, "", 1},
		"a program in it, with a key":            {key, shell, &contract.Repository{Ref: "main"}, nil, ownURL, "", 1},
		"a program in none":                      {nil, shell, &contract.Repository{Ref: "main"}, nil, "", none, 1},
		"a program in another":                   {token, shell, &contract.Repository{URL: "http://a/b", Ref: "main"}, nil, "http://a/b", "", 1},
		"a program in another, over SSH":         {token, shell, &contract.Repository{URL: "ssh://a/b", Ref: "main"}, nil, "ssh://a/b", "", 0},
		"a push in another":                      {token, git("push", ""), &contract.Repository{URL: "ssh://a/b", Ref: "main"}, three, "ssh://a/b", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			projects := &repositories{access: c.access}
			app := &App{Projects: projects}
			asked, op := c.cmd, contract.Operation{Project: "shop", Command: &c.cmd}
			var work *contract.Work
			if c.from != nil {
				work = &contract.Work{Repository: c.from}
				op.Work = work
			}
			before := [2]any{asked, work}
			if asked.Git != nil {
				git := *asked.Git
				asked.Git = &git
			}
			err := app.requireReady(t.Context(), &op)
			if projects.read != c.read {
				t.Errorf("the project was read %d times, want %d", projects.read, c.read)
			}
			if c.words != "" {
				refused, ok := errors.AsType[*contract.Error](err)
				if !ok || refused.Code != contract.CodeConflict || refused.Detail != c.words {
					t.Errorf("it is refused by %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			url, ref := "", "main"
			switch {
			case op.Work != nil:
				url, ref = op.Work.Repository.URL, op.Work.Repository.Ref
			case op.Command.Git != nil:
				url = op.Command.Git.URL
			}
			if !slices.Equal(op.Command.Credentials, c.want) || url != c.url || ref != "main" {
				t.Errorf("it has %q for %q at %q, want %q for %q", op.Command.Credentials, url, ref, c.want, c.url)
			}
			// What was asked for may be others', too.
			if !reflect.DeepEqual(c.cmd, asked) || !reflect.DeepEqual(before[1], any(work)) || c.from != nil && *c.from != *work.Repository {
				t.Errorf("what was asked for became %+v of %+v", c.cmd, work)
			}
		})
	}
}

// filled are the operations that were accepted.
type filled struct {
	Operations

	created []contract.Operation
}

func (f *filled) CreateAll(_ context.Context, operations []contract.Operation) ([]contract.Operation, []error) {
	f.created = append(f.created, operations...)
	return operations, make([]error, len(operations))
}

func TestTheStepsOfABuildSeeOneCommitOfTheProjectsRepositoryHoweverItIsNamed(t *testing.T) {
	log := &filled{}
	app := &App{Projects: &repositories{access: map[string]string{"user": "bot"}}, Operations: log}
	build := contract.Build{Repository: &contract.Repository{Ref: "main"}, Steps: stepsOf("test lint docs other none pushes more")}
	for i, of := range []*contract.Repository{{Ref: "main"}, {URL: ownURL, Ref: "main"}, {URL: ownURL + "/", Ref: "main"}, {URL: "https://a/b"}, nil, nil, {Ref: "main"}} {
		build.Steps[i].Repository = of
	}
	build.Steps[0].Command.Credentials = []string{"NPM"}
	build.Steps[5].Command.Git = &contract.Git{Verb: "push"}
	accepted, err := app.RunBuild(t.Context(), Asker{}, "shop", build)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, step := range accepted.Operation.Build.Steps {
		of := ""
		if step.Repository != nil {
			of = strings.TrimPrefix(step.Repository.URL, "https://")
		}
		all = append(all, step.Name+" of "+of+" needs "+strings.Join(step.Needs, ",")+" with "+strings.Join(step.Command.Credentials, ","))
	}
	const of, three = " of git.example.com/rdev/shop.git needs @checkout with ", "REPOSITORY_URL,REPOSITORY_USER,REPOSITORY_TOKEN"
	want := []string{
		"@checkout of  needs  with NPM," + three, "test" + of + "NPM," + three, "lint" + of + three, "docs" + of + three,
		"other of a/b needs  with ", "none of  needs  with ", "pushes of  needs  with " + three, "more" + of + three,
	}
	if !slices.Equal(all, want) {
		t.Errorf("the steps are\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	if got := accepted.Operation.Build; got.Repository.URL != ownURL || got.Steps[0].Command.Git.URL != ownURL || got.Steps[0].Command.Git.Ref != "main" {
		t.Errorf("it is of %+v, and first does %+v", got.Repository, got.Steps[0].Command.Git)
	}
	if build.Repository.URL != "" || build.Steps[0].Repository.URL != "" || build.Steps[0].Needs != nil || len(build.Steps[1].Command.Credentials) > 0 {
		t.Errorf("what was asked for became %+v", build)
	}

	// Once more it has them already, and nothing is done twice.
	again := accepted.Operation
	again.State = contract.Failed
	rerun, err := app.RerunBuild(t.Context(), Asker{}, again, Rerun{All: true})
	if err != nil || len(rerun.Operation.Build.Steps) != len(want) || len(rerun.Operation.Build.Steps[0].Command.Credentials) != 4 || len(rerun.Operation.Build.Steps[1].Needs) != 1 {
		t.Errorf("again it is %+v, %v", rerun.Operation.Build, err)
	}
}

func TestABuildThatBecomesTooLargeIsRefused(t *testing.T) {
	app := &App{Projects: &repositories{access: map[string]string{"user": "bot"}}, Operations: &filled{}}
	build := contract.Build{Steps: stepsOf("test")}
	build.Steps[0].Repository = &contract.Repository{Ref: strings.Repeat("a", 40)}
	build.Steps[0].Command.Shell = &contract.Shell{}
	request, err := encodeRequest(contract.Operation{Kind: contract.KindBuild, Project: "shop", Build: &build})
	if err != nil {
		t.Fatal(err)
	}
	for room, want := range map[int]contract.Code{1000: "", 60: contract.CodePayloadTooLarge} {
		build.Steps[0].Command.Shell.Script = strings.Repeat("x", maxRequest-len(request)-room)
		_, err := app.RunBuild(t.Context(), Asker{}, "shop", build)
		refused, _ := errors.AsType[*contract.Error](err)
		if (refused == nil) != (want == "") || refused != nil && refused.Code != want {
			t.Errorf("with %d bytes left: %v", room, err)
		}
	}
}

func TestTheProjectIsReadOnceForAllItemsOfARequest(t *testing.T) {
	log, projects := &filled{}, &repositories{access: map[string]string{"user": "bot"}}
	app := &App{Projects: projects, Operations: log}
	items := make([]*WorkItem, 20)
	for i := range items {
		items[i] = &WorkItem{Project: "shop", Kind: contract.KindWorkTest, Command: contract.Command{Shell: &contract.Shell{Argv: []string{"true"}}}}
		if i%2 == 0 {
			items[i].Work.Repository = &contract.Repository{Ref: "main"}
		}
	}
	if _, errs := app.RunAllWork(t.Context(), Asker{}, items); errors.Join(errs...) != nil || projects.read != 1 || len(log.created) != len(items) {
		t.Fatalf("%v; the project was read %d times; there are %d", errors.Join(errs...), projects.read, len(log.created))
	}
	for i, op := range log.created {
		if of := op.Work.Repository; (of != nil) != (i%2 == 0) || of != nil && (of.URL != ownURL || len(op.Command.Credentials) != 3) {
			t.Errorf("item %d is of %+v with %q", i, of, op.Command.Credentials)
		}
	}
}
