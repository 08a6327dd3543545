package deploy_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/executor"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/notifier"
	"github.com/orchard9/rdev/services/provisioner"
)

const manifests = "../../../../deployments/kubernetes/"

// settings are what the base tells all services, by variable.
func settings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(base(t, "settings.env")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			all[name] = value
		}
	}
	return all
}

// toProvisioner is what the base tells the provisioner alone, by variable: "" where it is in
// a Secret.
func toProvisioner(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, found := range regexp.MustCompile(`\n +- name: ([A-Z_]+)\n +value(?:: (.*)|From:)`).FindAllStringSubmatch(base(t, "provisioner.yaml"), -1) {
		all[found[1]] = found[2]
	}
	return all
}

func base(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(manifests + "base/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEverySettingOfTheBaseIsOneOfAService(t *testing.T) {
	known := map[string]bool{}
	for _, variables := range [][]envutil.Variable{
		envutil.Describe[gateway.Config](), envutil.Describe[gateway.Streams](), envutil.Describe[provisioner.Config](),
		envutil.Describe[executor.Config](), envutil.Describe[audit.Config](), envutil.Describe[notifier.Config](),
	} {
		for _, v := range variables {
			known[v.Name] = true
		}
	}
	for name := range settings(t) {
		if !known[name] {
			t.Errorf("no service has %s", name)
		}
	}
}

func TestTheBaseHasAPlaceForEverySystemOfProjects(t *testing.T) {
	// Pods are served by no process of rdev's, and nobody has another Cloudflare.
	without := []string{"PROVISIONER_REPOSITORIES", "PROVISIONER_REPOSITORIES_URL", "PROVISIONER_WEB_ADDR", "PROVISIONER_CLOUDFLARE_API"}
	open, secret := settings(t), toProvisioner(t)
	for _, v := range envutil.Describe[provisioner.Far]() {
		value, said := open[v.Name]
		_, hidden := secret[v.Name]
		switch {
		case slices.Contains(without, v.Name):
		case said == hidden:
			t.Errorf("%s is in settings.env: %t, and in provisioner.yaml: %t", v.Name, said, hidden)
		case said && value != v.Default:
			t.Errorf("%s is %q, by default %q", v.Name, value, v.Default)
		}
	}
}

// farSettings are those of the base for systems of projects, without any Secret.
func farSettings(t *testing.T) (all []string) {
	t.Helper()
	open, secret := settings(t), toProvisioner(t)
	for _, v := range envutil.Describe[provisioner.Far]() {
		all = append(all, v.Name, open[v.Name]+secret[v.Name])
	}
	return all
}
