package templates_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/orchard9/rdev/libs/templates"
)

// nodeVersion is the Node.js that npm is asked for where the machine's is too old.
const nodeVersion = "24.22.3"

// installing is held while Node.js is looked for, and installed.
var installing sync.Mutex

// npmEnv is the environment for npm: a Node.js that is new enough, a cache that stays, and
// nobody who is told of anything.
func npmEnv(t *testing.T) []string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "rdev")
	env := []string{
		"npm_config_cache=" + filepath.Join(cache, "npm"), "npm_config_prefer_offline=true", "npm_config_audit=false",
		"ASTRO_TELEMETRY_DISABLED=1", "NO_COLOR=1", "CI=1",
	}
	const enough = `const [a, b] = process.versions.node.split('.'); process.exit(a > 22 || (a == 22 && b >= 12) ? 0 : 1)`
	if exec.CommandContext(t.Context(), "node", "-e", enough).Run() == nil {
		return env
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("npm is missing: apt-get install nodejs npm")
	}
	dir := filepath.Join(cache, "node-"+nodeVersion)
	installing.Lock()
	defer installing.Unlock()
	if _, err := os.Stat(dir); err != nil {
		installNode(t, dir, env)
	}
	return append(env, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
}

// installNode installs Node.js into a directory, which is there once all of it is.
func installNode(t *testing.T, dir string, env []string) {
	t.Helper()
	cpu := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if runtime.GOOS != "linux" || cpu == "" {
		t.Fatal("Node.js is older than 22.12, or missing: install a newer one from https://nodejs.org")
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), ".node-") //nolint:usetesting // it is renamed to beside it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(partial)
	run(t, partial, `npm install --prefix . --ignore-scripts --no-save --no-fund --loglevel=error "$NODE_PACKAGE@$NODE_VERSION"
		mkdir -p done/bin; mv "node_modules/$NODE_PACKAGE/bin/node" done/bin/`, append(env, "NODE_PACKAGE=node-linux-"+cpu, "NODE_VERSION="+nodeVersion)...)
	if err := os.Rename(filepath.Join(partial, "done"), dir); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

func TestAstroLandingBuildsAndPassesItsTests(t *testing.T) {
	t.Parallel()
	dir := write(t, render(t, "astro-landing", templates.Project{Name: "shop", Values: map[string]string{
		"title": `"it's" {a} <b onload=x> & --- {{.}}`, "description": `a <script>alert("1")</script> \ $(id)`,
	}}))
	run(t, dir, "npm ci && npm test && npm run build", npmEnv(t)...)
	page, err := os.ReadFile(filepath.Join(dir, "dist", "index.html"))
	if err != nil || !bytes.Contains(page, []byte("{a} &lt;b onload=x&gt; &amp; --- {{.}}</h1>")) {
		t.Errorf("%v, the page is\n%s", err, page)
	}
	run(t, dir, `sed -i 's/#features/#nothing/' src/site.json; ! npm test`, npmEnv(t)...)
}

// Apps are built in a monorepo that has the other kinds, too; npm finds nothing in its lock
// to change.
func TestAppsBuildAndPassTheirTests(t *testing.T) {
	t.Parallel()
	dir := write(t, render(t, "monorepo", templates.Project{Name: "shop", Components: all()}))
	out := run(t, dir, "scripts/check.sh apps/site apps/web", npmEnv(t)...)
	for _, want := range []string{"== apps/site\n", "== apps/web\n", "2 page(s) built", "2 passed"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	for _, path := range []string{"apps/site/dist/404.html", "apps/web/dist/index.html"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
	run(t, dir, "sed -i 's/<h1>/<h2>/; s,</h1>,</h2>,' apps/web/src/App.tsx; ! npm test --workspace apps/web", npmEnv(t)...)
}

func TestNpmWouldWriteTheSameLock(t *testing.T) {
	t.Parallel()
	list := append(all(), templates.Component{Kind: "app-react", Name: "web-2"}, templates.Component{Kind: "app-react", Name: "a1"})
	files := render(t, "monorepo", templates.Project{Name: "shop", Components: list})
	dir := write(t, files)
	run(t, dir, "npm install --package-lock-only --offline", npmEnv(t)...)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(text, files[name].Data) {
			t.Errorf("%s is another, %v", name, err)
		}
	}
}

// The dependencies are of exact versions.
func TestVersionsAreExact(t *testing.T) {
	t.Parallel()
	for name, files := range everything(t) {
		for path, file := range files {
			if filepath.Base(path) != "package.json" {
				continue
			}
			var parsed struct{ Dependencies, DevDependencies map[string]string }
			if err := json.Unmarshal(file.Data, &parsed); err != nil {
				t.Fatal(err)
			}
			for _, versions := range []map[string]string{parsed.Dependencies, parsed.DevDependencies} {
				for of, version := range versions {
					if strings.Trim(version, "0123456789.") != "" {
						t.Errorf("%s: %s: %s@%s", name, path, of, version)
					}
				}
			}
		}
	}
}
