package bus_test

import (
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestWhatLivesOnIsRenewedOnceItIsOld(t *testing.T) {
	conn := testkit.Connect(t, testkit.NATS(t).URL(), contract.ServiceProvisioner)
	project, err := conn.UpdateProject(t.Context(), "shop", func(*contract.Project) (string, contract.Project, error) {
		return contract.TypeProjectCreated, contract.Project{Slug: "shop", Template: "default"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		known   contract.Project
		old     time.Duration
		renewed bool
		rev     int
	}{
		{"young", project, time.Hour, false, 1},
		{"old", contract.Project{Slug: "shop", Template: "what a table says does not matter", State: contract.ProjectReady, Rev: 7}, 0, true, 2},
	} {
		renewed, err := conn.RenewProject(t.Context(), c.known, c.old)
		if err != nil || renewed != c.renewed {
			t.Errorf("%s: renewed %t, %v", c.name, renewed, err)
		}
		if now, err := conn.Project(t.Context(), "shop"); err != nil || now.Rev != c.rev || now.Template != "default" {
			t.Errorf("%s: %+v, %v", c.name, now, err)
		}
	}
	// The log forgets it, and the table knows it.
	stream, err := conn.JetStream().Stream(t.Context(), contract.StreamEvents)
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	known := project
	known.Rev = 2
	if renewed, err := conn.RenewProject(t.Context(), known, time.Hour); err != nil || !renewed {
		t.Errorf("forgotten: renewed %t, %v", renewed, err)
	}
	if now, err := conn.Project(t.Context(), "shop"); err != nil || now.Rev != 3 || now.State != contract.ProjectReady {
		t.Errorf("forgotten: %+v, %v", now, err)
	}
}
