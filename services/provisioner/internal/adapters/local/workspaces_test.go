package local_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/adapters/local"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func open(t *testing.T, dir string) *local.Workspaces {
	t.Helper()
	w, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func create(t *testing.T, w *local.Workspaces, slug string) app.Workspace {
	t.Helper()
	workspace, err := w.Create(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	return workspace
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAWorkspaceIsMadeOnceAndRemovedOnce(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	first := create(t, w, "shop")
	if want := filepath.Join(dir, "shop", "workspace"); first.Path != want || first.Runtime != "local" {
		t.Fatalf("got %+v, want the path %s", first, want)
	}
	write(t, filepath.Join(first.Path, "kept"))
	if again := create(t, w, "shop"); again != first {
		t.Errorf("made again it is %+v, want %+v", again, first)
	}
	if _, err := os.Stat(filepath.Join(first.Path, "kept")); err != nil {
		t.Errorf("making it again lost a file: %v", err)
	}
	info, err := os.Stat(first.Path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v (%v), want 0700", info.Mode(), err)
	}
	for range 2 {
		if err := w.Remove(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, filepath.Join(dir, "shop"))
	empty(t, filepath.Join(dir, ".trash"))
}

func TestRemovingAProjectLeavesItsNeighbors(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	create(t, w, "shop")
	neighbor := create(t, w, "shop-2")
	if err := w.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(neighbor.Path); err != nil {
		t.Error(err)
	}
}

func TestWhatAnInterruptedRemovalLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, ".trash", "shop.X", "workspace"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	empty(t, filepath.Join(dir, ".trash"))
}

func TestALinkIsRemovedButNotWhatItLeadsTo(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "precious"))
	w := open(t, dir)
	workspace := create(t, w, "shop")
	for link, target := range map[string]string{
		filepath.Join(workspace.Path, "dir"):  outside,
		filepath.Join(workspace.Path, "file"): filepath.Join(outside, "precious"),
		filepath.Join(workspace.Path, "root"): "/",
		filepath.Join(dir, "blog"):            outside,
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, slug := range []string{"shop", "blog"} {
		if err := w.Remove(t.Context(), slug); err != nil {
			t.Fatal(err)
		}
		gone(t, filepath.Join(dir, slug))
	}
	if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
		t.Error(err)
	}
}

func TestALinkIsNoWorkspace(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "shop")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "blog"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "blog", "workspace")); err != nil {
		t.Fatal(err)
	}
	w := open(t, dir)
	for _, slug := range []string{"shop", "blog"} {
		if workspace, err := w.Create(t.Context(), slug); err == nil {
			t.Errorf("%s became %s", slug, workspace.Path)
		}
	}
	empty(t, outside)
}

func TestASlugThatIsAPathIsRefused(t *testing.T) {
	parent := t.TempDir()
	write(t, filepath.Join(parent, "precious"))
	w := open(t, filepath.Join(parent, "workspaces"))
	for _, slug := range []string{"", ".", "..", "../precious", "a/b", ".trash", "/etc"} {
		if _, err := w.Create(t.Context(), slug); err == nil {
			t.Errorf("create %q succeeded", slug)
		}
		if err := w.Remove(t.Context(), slug); err == nil {
			t.Errorf("remove %q succeeded", slug)
		}
	}
	if _, err := os.Stat(filepath.Join(parent, "precious")); err != nil {
		t.Error(err)
	}
}

// unprivileged is the user that stands in for root, whom no mode keeps out.
const unprivileged = 65534

// TestDirectoriesThatCannotBeReadOrWrittenAreRemoved runs itself again without
// privileges where it has them.
func TestDirectoriesThatCannotBeReadOrWrittenAreRemoved(t *testing.T) {
	if os.Getuid() == 0 {
		runUnprivileged(t)
		return
	}
	dir := t.TempDir()
	w := open(t, dir)
	workspace := create(t, w, "shop")
	inner := filepath.Join(workspace.Path, "a", "b", "c")
	if err := os.MkdirAll(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(inner, "file"))
	for _, locked := range []struct {
		path string
		mode os.FileMode
	}{{filepath.Join(inner, "file"), 0}, {inner, 0o500}, {filepath.Dir(inner), 0}} {
		if err := os.Chmod(locked.path, locked.mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{workspace.Path, filepath.Dir(workspace.Path)} {
		if err := os.Chmod(path, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "shop")); err == nil {
		t.Fatal("a plain removal succeeded: the test proves nothing")
	}
	if err := w.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	gone(t, filepath.Join(dir, "shop"))
	empty(t, filepath.Join(dir, ".trash"))
}

func runUnprivileged(t *testing.T) {
	t.Helper()
	// Not t.TempDir, whose parent is closed to others.
	dir, err := os.MkdirTemp("", "unprivileged") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "test")
	copyFile(t, os.Args[0], binary)
	for _, path := range []string{dir, binary} {
		if err := os.Chown(path, unprivileged, unprivileged); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	output, err := cmd.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("%s has %s", dir, entry.Name())
	}
}
