package httpapi

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/templates"
)

// renderedTemplate is a template with the files that a project has of it.
type renderedTemplate struct {
	templates.Template

	Files []renderedFile `json:"files"`
}

// renderedFile is a file of a project.
type renderedFile struct {
	Path    string `json:"path"`
	Mode    string `json:"mode"` // octal: 0644, 0755
	Content string `json:"content"`
}

func (h *handlers) listTemplates(w http.ResponseWriter, _ *http.Request) error {
	api.Write(w, http.StatusOK, map[string]any{"templates": templates.List()})
	return nil
}

// templateQuery is what GET /templates/{template} takes: the parameters of all templates,
// too.
func templateQuery() []string {
	names := []string{"name", "components"}
	for _, template := range templates.List() {
		for _, parameter := range template.Parameters {
			if !slices.Contains(names, parameter.Name) {
				names = append(names, parameter.Name)
			}
		}
	}
	return names
}

// getTemplate renders a template, and makes nothing.
func (h *handlers) getTemplate(w http.ResponseWriter, r *http.Request) error {
	template, err := templates.Get(chi.URLParam(r, "template"))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	project := templates.Project{Name: cmp.Or(q.Get("name"), template.Name), Values: map[string]string{}}
	for name := range q {
		if name != "name" && name != "components" {
			project.Values[name] = q.Get(name)
		}
	}
	if q.Get("components") != "" {
		for text := range strings.SplitSeq(q.Get("components"), ",") {
			kind, name, _ := strings.Cut(text, ":")
			project.Components = append(project.Components, templates.Component{Kind: kind, Name: name})
		}
	}
	files, err := templates.Render(template.Name, project)
	if err != nil {
		return err
	}
	rendered := renderedTemplate{Template: template}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		rendered.Files = append(rendered.Files, renderedFile{path, fmt.Sprintf("%04o", files[path].Mode), string(files[path].Data)})
	}
	api.Write(w, http.StatusOK, rendered)
	return nil
}
