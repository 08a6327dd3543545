//go:build cluster

package testcluster_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/libs/testcluster"
)

func TestStopLeavesNothingOfTheCluster(t *testing.T) {
	before := traces(t)
	c, err := testcluster.Start(t.Context(), testcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	newHarness(t, c).pod(t, "pod", corev1.PodSpec{})
	if cmp.Equal(before, traces(t)) {
		t.Error("the traces of a cluster are not looked for where they are")
	}
	began := time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	t.Logf("Stop took %v", time.Since(began))
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Error(diff)
	}
}

func TestLogsStayWhereTheyAreAskedFor(t *testing.T) {
	c, err := testcluster.Start(t.Context(), testcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	logs := c.KeepLogs()
	t.Cleanup(func() { os.RemoveAll(logs) })
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(filepath.Join(logs, "kubelet.log")); err != nil || len(content) == 0 {
		t.Error("no log of the kubelet", err)
	}
}

// held tells the test binary, in the environment, to be the victim.
const held = "TESTCLUSTER_HOLD"

func TestKillingTheTestLeavesNothingOfTheCluster(t *testing.T) {
	if os.Getenv(held) != "" {
		hold(t)
	}
	before := traces(t)
	victim := startVictim(t)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait()
	eventually(t, func() bool { return cmp.Equal(before, traces(t)) })
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAKilledNodeLeavesIsNoTroubleForTheNextCluster(t *testing.T) {
	before := traces(t)
	victim := startVictim(t)
	for _, pid := range processes(t, "-cgroup\x00rdev-testcluster") {
		if output, err := exec.CommandContext(t.Context(), "kill", "-9", pid).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	victim.Process.Kill()
	victim.Wait()
	c, err := testcluster.Start(t.Context(), testcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	newHarness(t, c).pod(t, "pod", corev1.PodSpec{})
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, traces(t)); diff != "" {
		t.Error(diff)
	}
}

func TestASecondClusterWaitsForTheFirst(t *testing.T) {
	c, err := testcluster.Start(t.Context(), testcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err = testcluster.Start(ctx, testcluster.Options{})
	if err == nil || !strings.Contains(err.Error(), "the cluster of another test") {
		t.Errorf("it said %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// hold has a cluster with a pod until it is killed.
func hold(t *testing.T) {
	t.Helper()
	c, err := testcluster.Start(t.Context(), testcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	newHarness(t, c).pod(t, "pod", corev1.PodSpec{})
	fmt.Println("holding")
	<-t.Context().Done()
}

// startVictim starts this test binary again and waits until it has a cluster.
func startVictim(t *testing.T) *exec.Cmd {
	t.Helper()
	victim := exec.Command(os.Args[0], "-test.run=^TestKillingTheTestLeavesNothingOfTheCluster$")
	victim.Env = append(os.Environ(), held+"=yes")
	stdout, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { victim.Process.Kill() })
	var said []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); said = append(said, lines.Text()) {
		if lines.Text() == "holding" {
			return victim
		}
	}
	t.Fatalf("the victim has no cluster:\n%s", strings.Join(said, "\n"))
	return nil
}

// traces are what a cluster could leave on the machine, as lines to compare.
func traces(t *testing.T) map[string][]string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "rdev", "kubernetes")
	seen := map[string][]string{
		"processes":  append(processes(t, cache), processes(t, "containerd-shim")...),
		"mounts":     lines(t, "/proc/self/mounts"),
		"routes":     lines(t, "/proc/net/route"),
		"namespaces": namespaces(t),
	}
	for name, pattern := range map[string]string{
		"files": filepath.Join(cache, "*"), "cgroups": "/sys/fs/cgroup/*/rdev-testcluster", "cgroup": "/sys/fs/cgroup/rdev-testcluster",
		"bound": "/run/netns/*", "kubelet": "/var/lib/kubelet/*",
	} {
		if seen[name], err = filepath.Glob(pattern); err != nil {
			t.Fatal(err)
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		seen["interfaces"] = append(seen["interfaces"], i.Name)
	}
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
		"net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max",
	} {
		if value, err := os.ReadFile("/proc/sys/" + name); err == nil {
			seen["sysctls"] = append(seen["sysctls"], name+" = "+string(value))
		}
	}
	return seen
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(content), "\n")
}

// namespaces are the network namespaces that processes are in.
func namespaces(t *testing.T) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
