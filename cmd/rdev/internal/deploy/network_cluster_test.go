//go:build cluster

package deploy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/testkit"
)

// projectsAreAlone tries from within a project's pod what its network must not let
// it, and then takes the policies away, to see that it was they who did not.
func (i *installation) projectsAreAlone(t *testing.T) {
	const project = "alone"
	api := dial(t, i.address(t), i.key)
	create(t, api, project)
	if got := said(t, api, project, "getent hosts gateway.rdev.svc.cluster.local"); !strings.Contains(got, i.clusterIP(t, services, "gateway")) {
		t.Errorf("the DNS says %q", got)
	}
	gateway := i.clusterIP(t, services, "gateway") + "/80"
	for what, address := range map[string]string{
		"the gateway":             gateway,
		"NATS":                    i.clusterIP(t, services, "nats") + "/4222",
		"PostgreSQL":              i.clusterIP(t, services, "postgres") + "/5432",
		"the API server":          i.clusterIP(t, "default", "kubernetes") + "/443",
		"the metadata of a cloud": "169.254.169.254/80",
	} {
		if reaches(t, api, project, address) {
			t.Errorf("a project reaches %s", what)
		}
	}
	i.kubectl(t, nil, "delete", "networkpolicies", "--all", "--namespace", projects)
	testkit.Eventually(t, func() error {
		if !reaches(t, api, project, gateway) {
			return errors.New("a project does not reach the gateway without the policies either")
		}
		return nil
	})
}

// reaches tells whether a project can connect to address/port.
func reaches(t *testing.T, api *client.Client, project, address string) bool {
	t.Helper()
	return said(t, api, project, fmt.Sprintf("timeout 2 bash -c '</dev/tcp/%s' 2>/dev/null && echo yes || echo no", address)) == "yes\n"
}

func (i *installation) clusterIP(t *testing.T, namespace, name string) string {
	t.Helper()
	service, err := i.client.CoreV1().Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return service.Spec.ClusterIP
}
