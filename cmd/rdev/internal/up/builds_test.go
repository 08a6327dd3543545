package up_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// goRepository is small but real.
func goRepository() map[string]string {
	return map[string]string{
		"go.mod":       "module example.com/shop\n\ngo 1.26\n",
		"main.go":      "package main\n\nimport \"fmt\"\n\nfunc price(n int) int { return 3 * n }\n\nfunc main() { fmt.Println(\"price\", price(14)) }\n",
		"main_test.go": "package main\n\nimport \"testing\"\n\nfunc TestPrice(t *testing.T) {\n\tif price(2) != 6 {\n\t\tt.Fatal(price(2))\n\t}\n}\n",
	}
}

// npmRepository is, too.
func npmRepository() map[string]string {
	return map[string]string{
		"package.json":      `{"name":"web","version":"1.2.3","files":["dist"],"scripts":{"test":"node --test","build":"node build.js"}}`,
		"package-lock.json": `{"name":"web","version":"1.2.3","lockfileVersion":3,"packages":{"":{"name":"web","version":"1.2.3"}}}`,
		"build.js":          "const fs = require('fs'); fs.mkdirSync('dist/css', {recursive: true}); fs.writeFileSync('dist/index.html', '<h1>shop</h1>\\n'); fs.writeFileSync('dist/css/a b.css', 'h1 {}\\n')",
		"web.test.js":       "require('node:test')('adds', () => require('node:assert').strictEqual(1 + 1, 2))",
	}
}

const realBuild = `
name: shop
env: {CGO_ENABLED: "0", GOFLAGS: -buildvcs=false, GOTOOLCHAIN: local}
steps:
  - name: go
    repository: {url: "%[1]s/shop.git", ref: main}
    run: go test ./... && go build -trimpath -o bin/shop .
    cache: [{key: go, paths: [~/.cache/go-build]}]
    artifacts: [bin/shop]
  - name: web
    repository: {url: "%[1]s/web.git", ref: main}
    run: npm ci --no-audit --no-fund && npm test && npm run build && npm pack
    cache: [{key: npm, paths: [~/.npm]}]
    artifacts: ["*.tgz", dist]
  - name: release
    needs: [go, web]
    run: |
      "$RDEV_INPUTS/go/bin/shop" && cat "$RDEV_INPUTS/web/dist/index.html" && test -s "$RDEV_INPUTS/web/web-1.2.3.tgz"
      mkdir release && cp "$RDEV_INPUTS/go/bin/shop" release/ && cp -R "$RDEV_INPUTS/web/dist" release/web
    artifacts: [release]
`

func TestAGoAndAnNpmRepositoryAreBuiltAndFetchedBack(t *testing.T) {
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	spec := filepath.Join(t.TempDir(), "build.yml")
	if err := os.WriteFile(spec, fmt.Appendf(nil, realBuild, repositories(t, map[string]map[string]string{"shop": goRepository(), "web": npmRepository()})), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[go] ok", "price 42", "<h1>shop</h1>", "# pass 1"} {
		if out := i.must("builds", "run", spec, "-p", "shop"); !strings.Contains(out, want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
	var list struct{ Builds []contract.Operation }
	if err := i.request(http.MethodGet, "/builds?project=shop", "", &list); err != nil || len(list.Builds) == 0 {
		t.Fatalf("the builds are %+v, %v", list, err)
	}
	fetched := t.TempDir()
	i.must("builds", "download", list.Builds[0].ID, "-d", fetched, "--unpack")
	// The same sources make the same program here.
	here := t.TempDir()
	for path, text := range goRepository() {
		if err := os.WriteFile(filepath.Join(here, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", "shop", ".")
	build.Dir, build.Env = here, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOTOOLCHAIN=local", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	same(t, filepath.Join(here, "shop"), filepath.Join(fetched, "go/bin/shop"))
	same(t, filepath.Join(here, "shop"), filepath.Join(fetched, "release/release/shop"))
	for path, want := range map[string]string{
		"web/dist/index.html": "<h1>shop</h1>\n", "web/dist/css/a b.css": "h1 {}\n", "release/release/web/css/a b.css": "h1 {}\n",
	} {
		if got, err := os.ReadFile(filepath.Join(fetched, path)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", path, got, err)
		}
	}
	listed, err := exec.CommandContext(t.Context(), "tar", "-tzf", filepath.Join(fetched, "web/web-1.2.3.tgz")).CombinedOutput()
	if err != nil || !strings.Contains(string(listed), "package/dist/css/a b.css") {
		t.Errorf("the package has %s, %v", listed, err)
	}
	i.stop()
}

// A program is the same user as rdev, and knows where everything is: it reads and changes no
// file of the store, nor has one taken for an artifact of its own.
func TestNoProgramReachesTheStoreOfFiles(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	i.must("projects", "create", "shop")
	i.must("projects", "create", "spy")
	run := func(project, spec string) (out string, code int) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "build.yml")
		if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
			t.Fatal(err)
		}
		return i.rdev("builds", "run", file, "-p", project)
	}
	if out, code := run("shop", "steps: [{name: keep, run: 'echo precious >word; mkdir ~/c; cp word ~/c', artifacts: [word], cache: [{key: k, paths: [~/c]}]}]"); code != 0 {
		t.Fatal(out)
	}
	var files []string
	for _, kind := range []string{"artifacts", "caches"} {
		found, err := filepath.Glob(filepath.Join(home, "files", kind, "shop", "*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("the store has %q, %v", found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := run("spy", fmt.Sprintf(`steps: [{name: spy, run: 'set +e; exec 2>/dev/null; f=%s; cat $f; ln $f .; cp $f .; mv $f .; rm -f $f; (echo x >$f); ls -A . $(dirname $f); echo end'}]`, file))
		if strings.TrimSpace(out) != "[spy] .:\n[spy] end" {
			t.Errorf("a program comes to %q", out)
		}
		if out, code := run("spy", fmt.Sprintf("steps: [{name: spy, run: 'ln -s %s link', artifacts: [link]}]", file)); code != 1 {
			t.Errorf("a link to it as an artifact: exit code %d, %s", code, out)
		}
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, before) {
			t.Errorf("%s was changed: %v", file, err)
		}
	}
	i.stop()
}

// same compares a file that was built here with one that was fetched.
func same(t *testing.T, here, fetched string) {
	t.Helper()
	want, err := os.ReadFile(here)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(fetched)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, %v; built here it has %d", fetched, len(got), err, len(want))
	}
	if info, err := os.Stat(fetched); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("%s cannot be carried out: %v", fetched, err)
	}
}

// All of rdev is killed over and over while builds go on, and so are runs: every build
// completes, and each step finds what those before it left.
func TestBuildsOutliveEverything(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	i.must("projects", "create", "shop")
	const spec = `
steps:
  - {name: one, run: "sleep 0.5; mkdir out; seq 1000 > out/seq; echo one > word", artifacts: [out, word], backoff: 1s}
  - {name: two, matrix: {N: [1, 2]}, needs: [one], run: "sleep 0.5; tail -1 $RDEV_INPUTS/one/out/seq; cat $RDEV_INPUTS/one/word > word; echo $N >> word", artifacts: [word], backoff: 1s}
  - {name: three, needs: [two, one], run: "cat $RDEV_INPUTS/two@1/word $RDEV_INPUTS/two@2/word $RDEV_INPUTS/one/word", backoff: 1s}
`
	var ids []string
	for range 4 {
		var op contract.Operation
		if err := i.request(http.MethodPost, "/builds", fmt.Sprintf(`{"project":"shop","spec":%q}`, spec), &op); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, op.ID)
	}
	for range 3 {
		killRunner(t, home)
		time.Sleep(200 * time.Millisecond)
		i.kill()
		i = start(t, home)
	}
	for _, id := range ids {
		var op contract.Operation
		testkit.Eventually(t, func() error {
			err := i.request(http.MethodGet, "/builds/"+id, "", &op)
			if err == nil && !op.State.Ended() {
				err = fmt.Errorf("build %s is %s", id, op.State)
			}
			return err
		})
		if op.State != contract.Completed {
			t.Errorf("build %s is %s: %+v", id, op.State, op.Failure)
			continue
		}
		for step, want := range map[int]string{1: "1000\n", 2: "1000\n", 3: "one\n1\none\n2\none\n"} {
			if got := i.must("ops", "output", contract.StepOperation(id, step)); !strings.HasSuffix(got, want) {
				t.Errorf("step %d of %s printed %q", step, id, got)
			}
		}
	}
	i.stop()
}
