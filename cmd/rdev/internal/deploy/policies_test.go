package deploy_test

import (
	"strings"
	"testing"
)

// TestWorkersReachWhatProjectsDo compares the text of their policies: one of Kubernetes
// cannot be for pods with one label or another.
func TestWorkersReachWhatProjectsDo(t *testing.T) {
	specs := policies(t, "projects.yaml")
	want := strings.Replace(specs["internet"], `rdev.orchard9.ai/project: "true"`, "rdev.orchard9.ai/role: worker", 1)
	if got := specs["internet-workers"]; got != want || got == "" || got == specs["internet"] {
		t.Errorf("workers have\n%s\nand projects\n%s", got, specs["internet"])
	}
}

// TestOnlyAnIngressControllerReachesAProject wants one policy that lets anybody in, to the
// port of programs, from one namespace, and to projects alone.
func TestOnlyAnIngressControllerReachesAProject(t *testing.T) {
	const want = `podSelector:
    matchLabels:
      rdev.orchard9.ai/project: "true"
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: ingress-nginx
      ports:
        - protocol: TCP
          port: 8080`
	specs := policies(t, "projects.yaml")
	for name, spec := range specs {
		if strings.Contains(spec, "\n  ingress:") && name != "routes" {
			t.Errorf("%s lets in\n%s", name, spec)
		}
	}
	if got := specs["routes"]; got != want {
		t.Errorf("routes are\n%s", got)
	}
	if got := specs["default-deny"]; got != "podSelector: {}\n  policyTypes: [Ingress, Egress]" {
		t.Errorf("denied is\n%s", got)
	}
}

// TestNoSystemIsOpenBeforeAnOverlayNamesIt wants the policies that are for an overlay to
// patch to open nothing themselves.
func TestNoSystemIsOpenBeforeAnOverlayNamesIt(t *testing.T) {
	const nothing = "\n  policyTypes: [Egress]\n  egress: []"
	if got := policies(t, "projects.yaml")["systems"]; got != "podSelector: {}"+nothing {
		t.Errorf("systems is\n%s", got)
	}
	if got := policies(t, "network.yaml")["to-systems"]; got != "podSelector:\n    matchLabels:\n      app.kubernetes.io/name: provisioner"+nothing {
		t.Errorf("to-systems is\n%s", got)
	}
}

// policies are the specs of the policies in a file of the base, by name.
func policies(t *testing.T, file string) map[string]string {
	t.Helper()
	specs := map[string]string{}
	for object := range strings.SplitSeq(base(t, file), "\n---\n") {
		head, spec, _ := strings.Cut(object, "\nspec:\n")
		_, name, _ := strings.Cut(head, "\n  name: ")
		name, _, _ = strings.Cut(name, "\n")
		if strings.Contains(head, "kind: NetworkPolicy") {
			specs[name] = strings.TrimSpace(spec)
		}
	}
	return specs
}
