package local_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/local"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var _ app.Routes = (*local.Routes)(nil)

func openRoutes(t *testing.T, dir string, port int) *local.Routes {
	t.Helper()
	r, err := local.OpenRoutes(dir, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func route(t *testing.T, r *local.Routes, slug, host string) string {
	t.Helper()
	url, err := r.Create(t.Context(), slug, host)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// portOf is the port that the executor reads.
func portOf(t *testing.T, dir, slug string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, slug, "port"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	if err != nil || port < 20000 || port > 29999 {
		t.Fatalf("the port of %s is %q (%v)", slug, text, err)
	}
	return port
}

// leads fails the test unless a host leads to a project and its port; to nothing where slug
// is "".
func leads(t *testing.T, r *local.Routes, dir, host, slug string) {
	t.Helper()
	found, port, err := r.Find(t.Context(), host)
	want := 0
	if slug != "" {
		want = portOf(t, dir, slug)
	}
	if err != nil || found != slug || port != want {
		t.Errorf("%s leads to %q on %d (%v), want %q on %d", host, found, port, err, slug, want)
	}
}

func verified(t *testing.T, r *local.Routes, slug, host, want string) {
	t.Helper()
	differences, err := r.Verify(t.Context(), slug, host)
	if got := strings.Join(differences, "; "); err != nil || got != want {
		t.Errorf("verify %s of %s: %q (%v), want %q", host, slug, got, err, want)
	}
}

// isUsers fails the test unless an error is the user's to mend, and says what is wanted.
func isUsers(t *testing.T, err error, want string) {
	t.Helper()
	failed, ok := errors.AsType[*app.StepError](err)
	if !ok || failed.Failure.Class != contract.ClassUser || !strings.Contains(failed.Failure.Message, want) {
		t.Errorf("got %v, want a StepError of the user's with %q", err, want)
	}
}

func TestEachProjectHasAPortOfItsOwnForAsLongAsItLives(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	ports := map[int]string{}
	for i := range 60 {
		slug := fmt.Sprintf("p%d", i)
		create(t, w, slug)
		port := portOf(t, dir, slug)
		if ports[port] != "" {
			t.Errorf("%s and %s have both %d", slug, ports[port], port)
		}
		ports[port] = slug
	}
	again := open(t, dir)
	for port, slug := range ports {
		create(t, again, slug)
		if got := portOf(t, dir, slug); got != port {
			t.Errorf("%s has %d and then %d", slug, port, got)
		}
	}
	before := portOf(t, dir, "p7")
	if err := w.Remove(t.Context(), "p7"); err != nil {
		t.Fatal(err)
	}
	create(t, w, "p7")
	if got := portOf(t, dir, "p7"); got != before {
		t.Errorf("made again it has %d, not %d", got, before)
	}
}

func TestAPortThatAnotherProgramHasIsGivenToNoProject(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	create(t, w, "shop")
	port := portOf(t, dir, "shop")
	if err := w.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	create(t, w, "shop")
	if got := portOf(t, dir, "shop"); got == port {
		t.Errorf("it has %d, on which another listens", got)
	}
}

func TestProjectsThatAreMadeAtOnceGetDifferentPortsAndHosts(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	results := make([]error, 40)
	for i := range results {
		w, r := open(t, dir), openRoutes(t, dir, 8080) // as in as many processes
		all.Go(func() {
			slug := fmt.Sprintf("p%d", i)
			if _, err := w.Create(t.Context(), slug); err != nil {
				t.Error(err)
			}
			_, results[i] = r.Create(t.Context(), slug, "shop.localhost")
		})
	}
	all.Wait()
	ports, led := map[int]bool{}, 0
	for i, err := range results {
		ports[portOf(t, dir, fmt.Sprintf("p%d", i))] = true
		if err == nil {
			led++
			leads(t, openRoutes(t, dir, 8080), dir, "shop.localhost", fmt.Sprintf("p%d", i))
			continue
		}
		isUsers(t, err, "the host shop.localhost leads to the project p")
	}
	if len(ports) != len(results) || led != 1 {
		t.Errorf("%d ports for %d projects; %d of them got the host", len(ports), len(results), led)
	}
}

func TestAHostLeadsToOneProjectUntilItIsRemoved(t *testing.T) {
	dir := t.TempDir()
	w, r := open(t, dir), openRoutes(t, dir, 8080)
	create(t, w, "shop")
	create(t, w, "blog")
	verified(t, r, "shop", "shop.localhost", "the host shop.localhost leads nowhere")
	if what, err := r.Plan(t.Context(), "shop", "shop.localhost"); what != "route of shop.localhost" || err != nil {
		t.Errorf("planned is %s (%v)", what, err)
	}
	for range 2 {
		if url := route(t, r, "shop", "shop.localhost"); url != "http://shop.localhost:8080" {
			t.Errorf("made is %s", url)
		}
	}
	route(t, r, "shop", "www.shop.localhost")
	route(t, r, "blog", "blog.localhost")
	leads(t, r, dir, "shop.localhost", "shop")
	leads(t, openRoutes(t, dir, 80), dir, "www.shop.localhost", "shop")
	verified(t, r, "shop", "shop.localhost", "")

	_, err := r.Plan(t.Context(), "blog", "shop.localhost")
	isUsers(t, err, "the host shop.localhost leads to the project shop")
	_, err = r.Create(t.Context(), "blog", "shop.localhost")
	isUsers(t, err, "the host shop.localhost leads to the project shop")
	verified(t, r, "blog", "shop.localhost", "the host shop.localhost leads to the project shop")
	if err := r.Remove(t.Context(), "blog", "shop.localhost"); err != nil {
		t.Error(err)
	}
	leads(t, r, dir, "shop.localhost", "shop")

	for range 2 {
		if err := r.Remove(t.Context(), "shop", "shop.localhost"); err != nil {
			t.Error(err)
		}
	}
	leads(t, r, dir, "shop.localhost", "")
	leads(t, r, dir, "www.shop.localhost", "shop")
	if url := route(t, openRoutes(t, dir, 80), "blog", "shop.localhost"); url != "http://shop.localhost" {
		t.Errorf("on port 80 it is %s", url)
	}
	leads(t, r, dir, "shop.localhost", "blog")
}

func TestTheHostsOfAProjectGoWithIt(t *testing.T) {
	dir := t.TempDir()
	w, r := open(t, dir), openRoutes(t, dir, 8080)
	for _, slug := range []string{"shop", "blog", "wiki"} {
		create(t, w, slug)
		route(t, r, slug, slug+".localhost")
	}
	if err := w.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	leads(t, r, dir, "blog.localhost", "blog")
	create(t, w, "shop")
	leads(t, r, dir, "shop.localhost", "") // it was the other one's
	if err := os.RemoveAll(filepath.Join(dir, "blog")); err != nil {
		t.Fatal(err)
	}
	leads(t, r, dir, "blog.localhost", "")
	if _, err := r.Create(t.Context(), "blog", "blog.localhost"); err == nil || !strings.Contains(err.Error(), "project blog has no workspace") {
		t.Errorf("got %v", err)
	}
	route(t, r, "shop", "blog.localhost")
	leads(t, r, dir, "blog.localhost", "shop")
	leads(t, r, dir, "wiki.localhost", "wiki")
}

func TestOtherHostsAreRefused(t *testing.T) {
	dir := t.TempDir()
	w, r := open(t, dir), openRoutes(t, dir, 8080)
	create(t, w, "shop")
	for _, host := range []string{"shop.example.com", "localhost", "Shop.localhost", "shop.localhost:80", "../shop", "shop", "", "*.localhost"} {
		_, err := r.Plan(t.Context(), "shop", host)
		isUsers(t, err, "is not a host of this machine, as shop.localhost is")
		_, err = r.Create(t.Context(), "shop", host)
		isUsers(t, err, "is not a host of this machine")
		if err := r.Remove(t.Context(), "shop", host); err != nil {
			t.Errorf("remove %q: %v", host, err)
		}
		if differences, err := r.Verify(t.Context(), "shop", host); err != nil || len(differences) != 1 {
			t.Errorf("verify %q: %v, %v", host, differences, err)
		}
	}
	if _, err := r.Create(t.Context(), "../shop", "shop.localhost"); err == nil {
		t.Error("a slug that is a path was taken")
	}
	if entries, err := os.ReadDir(filepath.Join(dir, ".routes")); len(entries) > 0 {
		t.Errorf("left is %v (%v)", entries, err)
	}
	for _, port := range []int{0, -1, 65536} {
		if _, err := local.OpenRoutes(dir, port); err == nil {
			t.Errorf("port %d was taken", port)
		}
	}
}

func TestAProjectOfATimeWithoutPortsGetsOneWithItsRoute(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "shop", "workspace"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := openRoutes(t, dir, 8080)
	verified(t, r, "shop", "shop.localhost", "the host shop.localhost leads nowhere; the project shop has no port")
	route(t, r, "shop", "shop.localhost")
	verified(t, r, "shop", "shop.localhost", "")
	port := portOf(t, dir, "shop")
	if err := os.CopyFS(filepath.Join(dir, "blog"), os.DirFS(filepath.Join(dir, "shop"))); err != nil {
		t.Fatal(err)
	}
	route(t, r, "shop", "www.localhost")
	if err := os.Remove(filepath.Join(dir, "shop", "port")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shop", "port"), []byte(strconv.Itoa(portOf(t, dir, "blog"))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	verified(t, r, "shop", "shop.localhost", fmt.Sprintf("the port %d of the project shop is another project's, too", portOf(t, dir, "shop")))
	route(t, r, "shop", "shop.localhost")
	verified(t, r, "shop", "shop.localhost", "")
	t.Logf("it had %d and has %d", port, portOf(t, dir, "shop"))
}

// TestAProcessThatIsKilledLeavesNoTwoProjectsWithOnePort runs itself again, and kills that.
func TestAProcessThatIsKilledLeavesNoTwoProjectsWithOnePort(t *testing.T) {
	if dir, ok := strings.CutPrefix(os.Args[len(os.Args)-1], "churn="); ok {
		churn(t, dir)
		return
	}
	dir := t.TempDir()
	for round := range 12 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "churn="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 3 + 7*round { // then it is somewhere in the middle
			if !lines.Scan() {
				t.Fatalf("it ended by itself: %v", lines.Err())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		w, r := open(t, dir), openRoutes(t, dir, 8080)
		ports := map[int]bool{}
		for i := range churned {
			slug := fmt.Sprintf("p%d", i)
			create(t, w, slug)
			route(t, r, slug, slug+".localhost")
			leads(t, r, dir, slug+".localhost", slug)
			ports[portOf(t, dir, slug)] = true
		}
		if len(ports) != churned {
			t.Fatalf("%d ports for %d projects", len(ports), churned)
		}
	}
}

// churned is how many projects come and go.
const churned = 8

// churn makes and removes projects until it is killed.
func churn(t *testing.T, dir string) {
	t.Helper()
	w, r := open(t, dir), openRoutes(t, dir, 8080)
	for i := 0; t.Context().Err() == nil; i++ {
		slug := fmt.Sprintf("p%d", i%churned)
		if err := w.Remove(t.Context(), slug); err != nil {
			t.Fatal(err)
		}
		create(t, w, slug)
		route(t, r, slug, slug+".localhost")
		if _, err := fmt.Fprintln(os.Stdout, i); err != nil {
			return
		}
	}
}
