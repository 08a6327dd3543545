package deploy_test

import (
	"os"
	"strings"
	"testing"
)

// TestWorkersReachWhatProjectsDo compares the text of their policies: one of Kubernetes
// cannot be for pods with one label or another.
func TestWorkersReachWhatProjectsDo(t *testing.T) {
	text, err := os.ReadFile("../../../../deployments/kubernetes/base/projects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]string{}
	for object := range strings.SplitSeq(string(text), "\n---\n") {
		head, spec, _ := strings.Cut(object, "\nspec:\n")
		_, name, _ := strings.Cut(head, "\n  name: ")
		name, _, _ = strings.Cut(name, "\n")
		specs[name] = strings.TrimSpace(spec)
	}
	want := strings.Replace(specs["internet"], `rdev.orchard9.ai/project: "true"`, "rdev.orchard9.ai/role: worker", 1)
	if got := specs["internet-workers"]; got != want || got == "" || got == specs["internet"] {
		t.Errorf("workers have\n%s\nand projects\n%s", got, specs["internet"])
	}
}
