package templates_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestAstroLandingBuildsAndPassesItsTests(t *testing.T) {
	t.Parallel()
	dir := write(t, render(t, "astro-landing", templates.Project{Name: "shop", Values: map[string]string{
		"title": `"it's" {a} <b onload=x> & --- {{.}}`, "description": `a <script>alert("1")</script> \ $(id)`,
	}}))
	run(t, dir, "npm ci && npm test && npm run build", testkit.NPM(t)...)
	page, err := os.ReadFile(filepath.Join(dir, "dist", "index.html"))
	if err != nil || !bytes.Contains(page, []byte("{a} &lt;b onload=x&gt; &amp; --- {{.}}</h1>")) {
		t.Errorf("%v, the page is\n%s", err, page)
	}
	run(t, dir, `sed -i 's/#features/#nothing/' src/site.json; ! npm test`, testkit.NPM(t)...)
}

// Apps are built in a monorepo that has the other kinds, too; npm finds nothing in its lock
// to change.
func TestAppsBuildAndPassTheirTests(t *testing.T) {
	t.Parallel()
	dir := write(t, render(t, "monorepo", templates.Project{Name: "shop", Components: all()}))
	out := run(t, dir, "scripts/check.sh apps/site apps/web", testkit.NPM(t)...)
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
	run(t, dir, "sed -i 's/<h1>/<h2>/; s,</h1>,</h2>,' apps/web/src/App.tsx; ! npm test --workspace apps/web", testkit.NPM(t)...)
}

func TestNpmWouldWriteTheSameLock(t *testing.T) {
	t.Parallel()
	list := append(all(), templates.Component{Kind: "app-react", Name: "web-2"}, templates.Component{Kind: "app-react", Name: "a1"})
	files := render(t, "monorepo", templates.Project{Name: "shop", Components: list})
	dir := write(t, files)
	run(t, dir, "npm install --package-lock-only --offline", testkit.NPM(t)...)
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
