package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// timeoutForesee bounds a look at all that a project has, or would have: each system is
// asked at the same time.
const timeoutForesee = 15 * time.Second

// startProject has an operation on a project accepted, or with ?dry_run=true answers what
// it would do.
func (h *handlers) startProject(w http.ResponseWriter, r *http.Request, foresee contract.PlanProject, do func(context.Context, app.Asker) (app.Accepted, error)) error {
	dry, err := queryFlag(r, "dry_run")
	if err != nil {
		return err
	}
	if dry {
		return h.foresee(w, r, foresee)
	}
	if err := h.limitStart(w, r, foresee.Project); err != nil {
		return err
	}
	return h.accept(w, r, do)
}

func (h *handlers) foresee(w http.ResponseWriter, r *http.Request, request contract.PlanProject) error {
	ctx, cancel := context.WithTimeout(r.Context(), timeoutForesee)
	defer cancel()
	plan, err := h.Queries.PlanProject(ctx, request)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, plan)
	return nil
}

func (h *handlers) createProject(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[createProjectRequest](w, r)
	if err != nil {
		return err
	}
	spec, err := request.spec()
	if err != nil {
		return err
	}
	if err := requireProject(passOf(r), spec.Slug); err != nil {
		return err
	}
	return h.startProject(w, r, contract.PlanProject{Kind: contract.KindProjectCreate, Project: spec.Slug, Spec: &spec},
		func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
			return h.App.CreateProject(ctx, asker, spec)
		})
}

func (h *handlers) deleteProject(w http.ResponseWriter, r *http.Request) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	keep, err := keepOf(r.URL.Query().Get("keep"))
	if err != nil {
		return err
	}
	change := contract.ProjectChange{Keep: keep}
	dry, err := queryFlag(r, "dry_run")
	if err != nil {
		return err
	}
	if dry {
		return h.foresee(w, r, contract.PlanProject{Kind: contract.KindProjectDelete, Project: slug, Change: &change})
	}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.DeleteProject(ctx, asker, slug, keep)
	})
}

func (h *handlers) repairProject(w http.ResponseWriter, r *http.Request) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	return h.startProject(w, r, contract.PlanProject{Kind: contract.KindProjectRepair, Project: slug},
		func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
			return h.App.RepairProject(ctx, asker, slug)
		})
}

// changeProject has a change of the project in the path accepted.
func (h *handlers) changeProject(w http.ResponseWriter, r *http.Request, change contract.ProjectChange) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	return h.startProject(w, r, contract.PlanProject{Kind: contract.KindProjectChange, Project: slug, Change: &change},
		func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
			return h.App.ChangeProject(ctx, asker, slug, change)
		})
}

func (h *handlers) addDomain(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[addDomainRequest](w, r)
	if err != nil {
		return err
	}
	change, err := request.change()
	if err != nil {
		return err
	}
	return h.changeProject(w, r, change)
}

func (h *handlers) removeDomain(w http.ResponseWriter, r *http.Request) error {
	v := validate.New()
	host := hostOf(v, "host", chi.URLParam(r, "host"))
	if v.Err() != nil {
		return &contract.Error{Code: contract.CodeNotFound, Detail: "there is no domain of that name"}
	}
	return h.changeProject(w, r, contract.ProjectChange{RemoveDomains: []string{host}})
}

func (h *handlers) listDomains(w http.ResponseWriter, r *http.Request) error {
	return h.ofProject(w, r, func(p contract.Project) any { return map[string]any{"domains": viewDomains(p)} })
}

func (h *handlers) addComponents(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[addComponentsRequest](w, r)
	if err != nil {
		return err
	}
	change, err := request.change()
	if err != nil {
		return err
	}
	return h.changeProject(w, r, change)
}

func (h *handlers) listComponents(w http.ResponseWriter, r *http.Request) error {
	return h.ofProject(w, r, func(p contract.Project) any { return map[string]any{"components": viewProject(p).Components} })
}

// ofProject answers something of the project in the path.
func (h *handlers) ofProject(w http.ResponseWriter, r *http.Request, view func(contract.Project) any) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	project, err := h.App.Project(r.Context(), slug)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, view(project))
	return nil
}

// withChange is a handler that makes one change, and takes no body.
func (h *handlers) withChange(change contract.ProjectChange) handler {
	return func(w http.ResponseWriter, r *http.Request) error { return h.changeProject(w, r, change) }
}

func (h *handlers) getDrift(w http.ResponseWriter, r *http.Request) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	differences, err := h.Queries.DriftProject(r.Context(), contract.ProjectDrift{Project: slug})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, differences)
	return nil
}

// rotation replaces the secret of a part of a project.
func rotation(resource string) contract.ProjectChange {
	return contract.ProjectChange{Rotate: []string{resource}}
}
