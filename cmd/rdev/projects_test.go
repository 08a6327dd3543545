package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

func TestWhatASSHKeyOpensIsTold(t *testing.T) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	made := func(name string, external map[string]string) contract.ProvisionStep {
		return contract.ProvisionStep{Name: name, Action: contract.ProvisionCreate, State: contract.ProvisionApplied, External: external}
	}
	if err := showMade(cmd, []contract.ProvisionStep{
		made("repository", map[string]string{"clone_url": "https://git.example.com/rdev/shop.git"}),
		made("access", map[string]string{"clone_url": "ssh://git@git.example.com/rdev/shop.git"}),
		{Name: "route/x.org", Action: contract.ProvisionCreate, State: contract.ProvisionUndone, External: map[string]string{"url": "https://x.org"}},
		{Name: "database", Action: contract.ProvisionRemove, State: contract.ProvisionApplied},
	}); err != nil {
		t.Fatal(err)
	}
	want := "repository   https://git.example.com/rdev/shop.git\nover ssh     ssh://git@git.example.com/rdev/shop.git\ncredentials  REPOSITORY_URL, REPOSITORY_KEY\n"
	if out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
}

func TestAFailedOperationOnAProjectSaysAllOfItsFailure(t *testing.T) {
	words := "the database shop was not made: " + strings.Repeat("and so on ", 40) + "; once that can be mended, `rdev projects repair shop` removes it"
	op := contract.Operation{
		ID: "0192-1", Kind: contract.KindProjectCreate, Project: "shop", State: contract.Failed, Failure: contract.NewFailure(contract.ClassUser, "%s", words),
		Provisioning: []contract.ProvisionStep{{Name: "database", State: contract.ProvisionLeft}},
	}
	var said bytes.Buffer
	if code := report(&said, outcome(op)); code != exitFailure || said.String() != "rdev: operation 0192-1 failed: user: "+words+"\n" {
		t.Errorf("exit code %d, said %q", code, said.String())
	}
}

func TestALineOfATerminalHasTheStepsInSigns(t *testing.T) {
	var out bytes.Buffer
	line := progressLine{w: &out, live: true, doing: "creating shop"}
	op := contract.Operation{State: contract.Running, Provisioning: []contract.ProvisionStep{
		{Name: "workspace", Action: contract.ProvisionCreate, State: contract.ProvisionApplied},
		{Name: "ci", Action: contract.ProvisionCreate, State: contract.ProvisionPlanned},
	}}
	line.show(client.Operation{Operation: op})
	line.clear()
	if want := "\r\x1b[K\x1b[?7lcreating shop… workspace ✓, ci …\x1b[?7h\r\x1b[K"; out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
}
