package deploy

import (
	"encoding/json"
	"fmt"
	"io"
)

// Secret is a Secret as Kubernetes writes it.
type Secret struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   Metadata          `json:"metadata"`
	Type       string            `json:"type"`
	Immutable  bool              `json:"immutable"`
	Data       map[string][]byte `json:"data"`
}

// Metadata names a Secret.
type Metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
}

// secret cannot be changed once it is there: an installation that runs would lose
// its database with the passwords that a second call makes.
func secret(name string, data map[string]string) Secret {
	s := Secret{
		APIVersion: "v1", Kind: "Secret", Type: "Opaque", Immutable: true,
		Metadata: Metadata{Name: name, Labels: map[string]string{"app.kubernetes.io/part-of": "rdev"}},
		Data:     map[string][]byte{},
	}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

// Write writes the secrets as one list, for kubectl apply.
func (i Installation) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Items      []Secret `json:"items"`
	}{"v1", "List", i.Secrets})
	if err != nil {
		return fmt.Errorf("write the secrets: %w", err)
	}
	return nil
}
