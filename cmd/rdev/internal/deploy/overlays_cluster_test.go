//go:build cluster

package deploy_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testcluster"
)

func TestClusterAcceptsWhatEveryOverlayMakes(t *testing.T) {
	i := newInstallation(t, testcluster.Options{})
	for _, overlay := range []string{"base", "overlays/k3s", "overlays/dev"} {
		t.Run(overlay, func(t *testing.T) {
			made := i.kubectl(t, nil, "kustomize", manifests+overlay)
			out := i.kubectl(t, bytes.NewBufferString(made), "apply", "--server-side", "--dry-run=server", "--filename", "-")
			if want, got := strings.Count("\n---\n"+made, "\n---\n"), strings.Count(out, "\n"); got != want {
				t.Errorf("%d of %d objects are accepted", got, want)
			}
		})
	}
}
