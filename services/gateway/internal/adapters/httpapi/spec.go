package httpapi

import (
	_ "embed" // for openapi.yaml and docs.html
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var specYAML []byte

//go:embed docs.html
var docsHTML string

// spec is the written contract, in the forms in which it is served.
type spec struct {
	json []byte
	docs []byte
}

// loadSpec reads openapi.yaml, which is part of the build.
func loadSpec(version string) (*spec, error) {
	var document map[string]any
	if err := yaml.Unmarshal(specYAML, &document); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if info, ok := document["info"].(map[string]any); ok && version != "" {
		info["version"] = version
	}
	body, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	page, err := docsOf(specYAML)
	if err != nil {
		return nil, err
	}
	tmpl, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return nil, fmt.Errorf("docs.html: %w", err)
	}
	page.Version = version
	var docs strings.Builder
	if err := tmpl.Execute(&docs, page); err != nil {
		return nil, fmt.Errorf("docs.html: %w", err)
	}
	return &spec{json: append(body, '\n'), docs: []byte(docs.String())}, nil
}

func (h *handlers) getSpec(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(h.spec.json) // the client has gone
}

func (h *handlers) getDocs(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, _ = w.Write(h.spec.docs) // the client has gone
}
