//go:build cluster

package deploy_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// projectsGetDatabases names a server for the databases of projects to an installation
// that runs, as docs/deploying.md says it, and makes a project with a database.
func (i *installation) projectsGetDatabases(t *testing.T) {
	const project, password = "stored", "onlyatest"
	api := dial(t, i.address(t), i.key)
	wanted := client.CreateProject(client.NewProject{Slug: project, Database: true})
	problems := func() (all []string) {
		t.Helper()
		plan, err := api.PlanProject(t.Context(), wanted)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan.Steps {
			if step.Failure != nil {
				all = append(all, step.Failure.Message)
			}
		}
		return all
	}
	if got := problems(); len(got) != 1 || !strings.HasPrefix(got[0], "databases are not available") {
		t.Errorf("before there is a server the problems are %q", got)
	}
	i.psql(t, strings.ReplaceAll(testkit.Blocks(t, docs+"deploying.md", "sql")[0], "…", password))
	i.kubectl(t, nil, "create", "secret", "generic", "rdev-systems", "--namespace", services)
	i.put(t, "database-url", fmt.Sprintf("postgres://rdev_projects:%s@postgres.%s.svc.cluster.local/postgres?sslmode=verify-full", password, services))
	authority, err := i.client.CoreV1().Secrets(services).Get(t.Context(), "rdev-nats-tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i.put(t, "ca.crt", string(authority.Data["ca.crt"]))
	i.restart(t, "deployment/provisioner")
	if got := problems(); len(got) > 0 {
		t.Fatalf("the problems are %q", got)
	}
	accepted, err := api.ChangeProject(t.Context(), wanted, true)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, api, accepted.ID, contract.Completed)
	if got := i.psql(t, `select count(*) from pg_database where datname like 'project\_stored\_%'`); got != "1\n" {
		t.Errorf("there are %q databases", got)
	}
	if !reaches(t, api, project, i.clusterIP(t, services, "postgres")+"/5432") {
		t.Error("the project does not reach its database")
	}
	if reaches(t, api, project, i.clusterIP(t, services, "gateway")+"/80") {
		t.Error("the project reaches the gateway, too")
	}
}

// put sets a key of the Secret rdev-systems.
func (i *installation) put(t *testing.T, key, value string) {
	t.Helper()
	patch := fmt.Sprintf(`{"data":{%q:%q}}`, key, base64.StdEncoding.EncodeToString([]byte(value)))
	i.kubectl(t, bytes.NewBufferString(patch), "patch", "secret", "rdev-systems", "--namespace", services, "--patch-file", "/dev/stdin")
}
