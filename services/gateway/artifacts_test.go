package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/contract"
)

// left is work of shop that has completed and left files of some names, whose content is
// the name. They are in a store in the directory.
func (w *world) left(names ...string) (op contract.Operation, store string) {
	w.t.Helper()
	w.ready("shop")
	w.stop()
	store = w.t.TempDir()
	w.cfg.Files = blob.Settings{URL: "file://" + store}
	w.url, w.stop = w.start()
	files, err := blob.Open(w.cfg.Files)
	if err != nil {
		w.t.Fatal(err)
	}
	var result contract.Result
	for _, name := range names {
		size, digest, err := files.PutByDigest(w.t.Context(), contract.ArtifactsPrefix("shop"), strings.NewReader(name))
		if err != nil {
			w.t.Fatal(err)
		}
		result.Artifacts = append(result.Artifacts, contract.Artifact{Path: name, Size: size, Digest: digest})
	}
	id := w.queue("shop", "").ID
	w.change(id, func(contract.Operation) contract.Change {
		return contract.OperationRunning{Attempt: 1, Executor: "test", Worker: "w1", At: time.Now().UTC()}
	})
	return w.change(id, func(contract.Operation) contract.Change {
		return contract.OperationCompleted{Attempt: 1, Result: &result, At: time.Now().UTC()}
	}), store
}

func TestAnArtifactOfAnyNameIsFetchedByItsLink(t *testing.T) {
	w := newWorld(t)
	names := []string{
		"bin/shop", "100%.txt", "a%41b", "a%2Fb", "with space", "what?#;x", `"quoted".txt`, "ünï", "a+b&c=d", `back\slash`, ".hidden", "red\x1b[31m\nline",
	}
	op, _ := w.left(names...)
	var list struct {
		Artifacts []struct{ Path, Link, Digest string }
	}
	w.get("/operations/"+op.ID+"/artifacts").decode(t, http.StatusOK, &list)
	if len(list.Artifacts) != len(names) {
		t.Fatalf("there are %+v", list.Artifacts)
	}
	for _, artifact := range list.Artifacts {
		a := w.get(artifact.Link)
		if a.status != http.StatusOK || string(a.body) != artifact.Path {
			t.Errorf("%q, at %s: status %d, %q", artifact.Path, artifact.Link, a.status, a.body)
		}
		if shown := a.header.Get("Content-Disposition"); !strings.HasPrefix(shown, "attachment; filename") || strings.ContainsAny(shown, "\x1b\r\n") {
			t.Errorf("%q is called %q", artifact.Path, shown)
		}
		tag := `"` + strings.TrimPrefix(artifact.Digest, "sha256:") + `"`
		for _, known := range []string{tag, "W/" + tag, `"other", ` + tag} {
			a := w.send(call{method: http.MethodGet, path: artifact.Link, header: map[string]string{"If-None-Match": known}})
			if a.status != http.StatusNotModified || a.header.Get("ETag") != tag || len(a.body) > 0 {
				t.Errorf("If-None-Match: %s: status %d, ETag %s", known, a.status, a.header.Get("ETag"))
			}
		}
		if a := w.send(call{method: http.MethodHead, path: artifact.Link}); a.status != http.StatusOK || a.header.Get("Content-Length") != fmt.Sprint(len(artifact.Path)) || a.header.Get("ETag") != tag {
			t.Errorf("HEAD: status %d, %v", a.status, a.header)
		}
	}
}

func TestNothingButTheArtifactsOfAnOperationIsFetched(t *testing.T) {
	w := newWorld(t)
	op, store := w.left("bin/shop", "gone", "away")
	path := "/operations/" + op.ID + "/artifacts/"
	for _, other := range []string{"", "bin", "bin/", "bin//shop", "bin/./shop", "bin/../bin/shop", "..%2f..%2fetc%2fpasswd", "bin/shop%00", "%ff"} {
		w.get(path+other).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
	stranger := w.newKey(`{"name":"stranger","scopes":["operations:read","work:read"],"projects":["blog"]}`).Secret
	for _, at := range []string{path + "bin/shop", strings.TrimSuffix(path, "/")} {
		w.send(call{method: http.MethodGet, path: at, key: stranger}).problem(t, http.StatusForbidden, contract.CodeProjectNotAllowed)
	}
	files := map[string]string{}
	for _, a := range op.Result.Artifacts {
		files[a.Path] = filepath.Join(store, contract.ArtifactKey("shop", a.Digest))
	}
	if err := os.Remove(files["gone"]); err != nil {
		t.Fatal(err)
	}
	// The store cannot read what leads out of it.
	if err := os.Remove(files["away"]); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", files["away"]); err != nil {
		t.Fatal(err)
	}
	gone, away := w.get(path+"gone"), w.get(path+"away")
	gone.problem(t, http.StatusNotFound, contract.CodeNotFound)
	away.problem(t, http.StatusServiceUnavailable, contract.CodeUnavailable)
	if gone.header.Get("ETag")+away.header.Get("ETag") != "" {
		t.Errorf("what is not there has the tags %q, %q", gone.header.Get("ETag"), away.header.Get("ETag"))
	}
}
