package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
)

// TemplateStep writes the files of a project's template into its repository.
type TemplateStep struct{ Repositories Repositories }

// Name implements Step.
func (TemplateStep) Name() string { return contract.ResourceTemplate }

// Needs implements Step. The CI comes before it, so that it sees the first commit.
func (TemplateStep) Needs() []string {
	return []string{contract.ResourceRepository, contract.ResourceCI}
}

// Asked implements Optional. Later the files are the project's own.
func (TemplateStep) Asked(before, target contract.ProjectSpec) bool {
	return before.Slug == "" && target.Repository != nil && target.Repository.Adopt == ""
}

// Plan implements Step.
func (TemplateStep) Plan(_ context.Context, t Task) (contract.ProvisionAction, string, error) {
	_, err := rendered(t.Spec)
	return contract.ProvisionWrite, "files of the template " + t.Spec.Template, err
}

// Apply implements Step.
func (s TemplateStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	files, err := rendered(t.Spec)
	if err != nil {
		return nil, err
	}
	commit, err := s.Repositories.Commit(ctx, repositoryOf(t), Commit{
		Operation: t.Op.ID, Message: fmt.Sprintf("Start %s from the template %s", t.Slug, t.Spec.Template), Files: files,
	})
	return map[string]string{contract.ExternalCommit: commit}, err
}

// Undo implements Step. They go with the repository.
func (TemplateStep) Undo(context.Context, Task) error { return nil }

// Verify implements Step. They are the project's own.
func (TemplateStep) Verify(context.Context, Task) ([]string, error) { return nil, nil }

// rendered are the files of a new project.
func rendered(spec contract.ProjectSpec) (map[string]CommitFile, error) {
	project := templates.Project{Name: spec.Slug, Values: spec.Values}
	for _, component := range spec.Components {
		project.Components = append(project.Components, templates.Component(component))
	}
	files, err := templates.Render(spec.Template, project)
	if err != nil {
		return nil, inWords(err)
	}
	return commitFiles(files), nil
}

// ComponentsStep adds components to the repository of a monorepo, in one commit.
type ComponentsStep struct{ Repositories Repositories }

// Name implements Step.
func (ComponentsStep) Name() string { return contract.ResourceComponents }

// Needs implements Step.
func (ComponentsStep) Needs() []string { return nil }

// Asked implements Optional. Those of a new project come with its template.
func (ComponentsStep) Asked(before, target contract.ProjectSpec) bool {
	return before.Slug != "" && len(target.Components) > len(before.Components)
}

// Plan implements Step.
func (s ComponentsStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	var names []string
	for _, component := range t.Op.Change.AddComponents {
		names = append(names, component.Name)
	}
	_, _, err := s.files(ctx, t)
	return contract.ProvisionWrite, "files of " + strings.Join(names, ", "), err
}

// Apply implements Step. It looks first whether an attempt before has done it: the files
// would be in its own way.
func (s ComponentsStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	r := repositoryOf(t)
	commit, err := s.Repositories.Committed(ctx, r, t.Op.ID)
	if err == nil && commit == "" {
		commit, err = s.commit(ctx, t, r)
	}
	return map[string]string{contract.ExternalCommit: commit}, err
}

func (s ComponentsStep) commit(ctx context.Context, t Task, r Repository) (string, error) {
	parent, files, err := s.files(ctx, t)
	if err != nil {
		return "", err
	}
	var added []string
	for _, component := range t.Op.Change.AddComponents {
		added = append(added, "the "+component.Kind+" "+component.Name)
	}
	return s.Repositories.Commit(ctx, r, Commit{Operation: t.Op.ID, Message: "Add " + strings.Join(added, ", "), Parent: parent, Files: files})
}

// files are those that the components add to the repository, or change in it, as it is at
// the commit parent.
func (s ComponentsStep) files(ctx context.Context, t Task) (parent string, _ map[string]CommitFile, err error) {
	if err := RepositoryStep(s).available(); err != nil {
		return "", nil, err
	}
	r := repositoryOf(t)
	if parent, err = s.Repositories.Head(ctx, r); err != nil {
		return "", nil, err
	}
	var unread error
	existing := func(path string) ([]byte, bool) {
		if parent == "" || unread != nil {
			return nil, false
		}
		data, ok, err := s.Repositories.Read(ctx, r, parent, path)
		unread = err
		return data, ok
	}
	var components []templates.Component
	for _, component := range t.Op.Change.AddComponents {
		components = append(components, templates.Component(component))
	}
	files, err := templates.Add(existing, components...)
	switch {
	case unread != nil:
		return "", nil, unread
	case err != nil:
		return "", nil, inWords(err)
	}
	return parent, commitFiles(files), nil
}

// Undo implements Step. What is in the repository is the project's own.
func (ComponentsStep) Undo(context.Context, Task) error { return nil }

// Verify implements Step. They are the project's own.
func (ComponentsStep) Verify(context.Context, Task) ([]string, error) { return nil, nil }

// inWords is an error of the templates as a refusal: in its words, without its code.
func inWords(err error) error {
	if known, ok := errors.AsType[*contract.Error](err); ok {
		return refusal("%s", known.Detail)
	}
	return refusal("%v", err)
}

func commitFiles(files map[string]templates.File) map[string]CommitFile {
	all := map[string]CommitFile{}
	for path, file := range files {
		all[path] = CommitFile{Data: file.Data, Executable: file.Mode&0o100 != 0}
	}
	return all
}
