//go:build cluster

package deploy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testcluster"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestClusterAcceptsWhatEveryOverlayMakes(t *testing.T) {
	i := newInstallation(t, testcluster.Options{})
	for _, overlay := range []string{"base", "overlays/k3s", "overlays/dev"} {
		t.Run(overlay, func(t *testing.T) { i.accepts(t, i.kubectl(t, nil, "kustomize", manifests+overlay)) })
	}
	for _, page := range []string{"deploying.md", "networking.md"} {
		for n, block := range testkit.Blocks(t, docs+page, "yaml") {
			t.Run(fmt.Sprintf("%s/%d", page, n+1), func(t *testing.T) { i.acceptsBlock(t, block) })
		}
	}
}

// acceptsBlock tries what a page has in YAML: objects, or what an overlay says.
func (i *installation) acceptsBlock(t *testing.T, block string) {
	t.Helper()
	first, _, _ := strings.Cut(strings.TrimLeft(block, "#"), "\n")
	switch {
	case strings.Contains(block, "kind: Kustomization"), strings.HasPrefix(first, "metadata:"):
		return // names files that are not here, or is a part of an object
	case strings.HasPrefix(first, "apiVersion:"):
		i.accepts(t, block)
		return
	}
	dir := t.TempDir()
	base, err := filepath.Abs(manifests + "base")
	if err == nil {
		base, err = filepath.Rel(dir, base)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: ["+base+"]\n"+block), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	i.accepts(t, i.kubectl(t, nil, "kustomize", dir))
}

// accepts has a real API server look at objects, which are not made.
func (i *installation) accepts(t *testing.T, made string) {
	t.Helper()
	out := i.kubectl(t, bytes.NewBufferString(made), "apply", "--server-side", "--dry-run=server", "--filename", "-")
	if want, got := strings.Count("\n---\n"+made, "\n---\n"), strings.Count(out, "\n"); got != want {
		t.Errorf("%d of %d objects are accepted", got, want)
	}
}
