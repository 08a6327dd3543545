//go:build cluster

package deploy_test

import (
	"testing"

	"github.com/orchard9/rdev/libs/testcluster"
)

func TestClusterRunsTheWholeOfRdev(t *testing.T) {
	i := started(t, "testdata/single")
	everything(t, i.address(t), i.key)
	t.Run("every account may do what it does and nothing else", i.accountsAreBounded)
	t.Run("every role of the database reads and writes in its schema and nothing else", i.rolesAreBounded)
	t.Run("work of any project runs on workers, which may go", i.workOnWorkers)
	t.Run("files of a build go from worker to worker, and come back", i.filesOfABuild)
	t.Run("an executor that is killed loses nothing", i.executorIsKilled)
	t.Run("a project's pod that is deleted ends its command, and no more", i.podIsDeleted)
	t.Run("a rolling restart under load loses nothing", func(t *testing.T) {
		failed := i.restartUnderLoad(t, "deployment/gateway", "deployment/executor", "deployment/provisioner", "deployment/audit", "deployment/notifier")
		for _, err := range failed {
			t.Errorf("a request failed: %v", err)
		}
	})
	t.Run("a project reaches nothing of the cluster", i.projectsAreAlone)
}

func TestClusterRunsTheBaseWithANATSOfThree(t *testing.T) {
	i := started(t, "testdata/three")
	t.Run("a rolling restart of NATS under load loses nothing", func(t *testing.T) {
		// Clients of a server that goes are answered 503 until they have found another.
		t.Logf("%d requests failed", len(i.restartUnderLoad(t, "statefulset/nats", "deployment/executor")))
	})
	t.Run("projects get databases once their server is named", i.projectsGetDatabases)
}

// started is an installation that is ready, with its network policies in force.
func started(t *testing.T, dir string) *installation {
	t.Helper()
	images := images(t)
	i := newInstallation(t, testcluster.Options{DNS: true, NetworkPolicies: true})
	i.storeFiles(t)
	i.load(t, images)
	i.start(t, dir)
	return i
}
