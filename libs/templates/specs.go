package templates

import "fmt"

// spec is a template and what its files are made of.
type spec struct {
	Template

	trees   []tree
	port    int    // that it listens on, 0 where it does not
	golang  bool   // it has Go in it
	node    bool   // it has npm in it
	shared  string // directory of the Go packages that its programs share
	scripts []string
}

// kind is a kind of components and what they are made of.
type kind struct {
	Kind

	parts []string // directories of files/
	ports int      // the first of the hundred that its components listen on, 0 where they do not
	image string   // that CI tests it in
	node  bool     // it is an npm workspace, else a Go module
}

// Images that CI tests in.
const (
	imageGo   = "golang:1.26"
	imageNode = "node:24-alpine"
)

// portsOfKind is how many components of a kind can listen.
const portsOfKind = 100

// maxComponents keeps to what Woodpecker makes of a matrix, 64 workflows, and to the steps of
// a build.
const maxComponents = 60

func specs() []spec {
	description := Parameter{"description", "what it is, in a line", "Made with rdev."}
	repository := Parameter{"repository", "what .rdev/build.yml clones instead of the project's own", ""}
	module := Parameter{"module", "path of its Go module", "example.com/{name}"}
	title := Parameter{"title", "heading of the page", "{name}"}
	var kindList []Kind
	for _, k := range kinds() {
		kindList = append(kindList, k.Kind)
	}
	return []spec{
		{
			Template: Template{"default", "A script, its test, and what CI, images and agents need", []Parameter{description, repository}, []Kind{}},
			trees:    []tree{{"common", "."}, {"default", "."}},
			scripts:  []string{"scripts/run.sh", "scripts/test.sh"},
		},
		{
			Template: Template{"astro-landing", "A landing page made with Astro: static, served by nginx", []Parameter{title, description, repository}, []Kind{}},
			trees:    []tree{{"common", "."}, {"landing", "."}, {"npm", "."}, {"web", "."}, {"astro", "."}},
			port:     8080, node: true,
		},
		{
			Template: Template{"go-api", "An HTTP service in Go with the standard library", []Parameter{description, module, repository}, []Kind{}},
			trees:    []tree{{"common", "."}, {"go-api", "."}, {"golang", "."}, {"service", "."}, {"gopkg", "internal"}},
			port:     8080, golang: true, shared: "internal",
		},
		{
			Template: Template{"monorepo", "Services, workers, apps and command lines in one repository", []Parameter{description, module, repository}, kindList},
			trees:    []tree{{"common", "."}, {"monorepo", "."}, {"npm", "."}, {"pkg", "pkg"}, {"gopkg", "pkg"}},
			golang:   true, node: true, shared: "pkg", scripts: []string{"scripts/check.sh"},
		},
	}
}

func kinds() []kind {
	return []kind{
		{Kind: Kind{"service", "an HTTP service in Go", "services"}, parts: []string{"golang", "service", "service-component"}, ports: 8100, image: imageGo},
		{Kind: Kind{"worker", "a background worker in Go", "workers"}, parts: []string{"golang", "worker"}, ports: 8200, image: imageGo},
		{Kind: Kind{"app-astro", "a static site made with Astro", "apps"}, parts: []string{"web", "astro", "astro-component"}, ports: 8300, image: imageNode, node: true},
		{Kind: Kind{"app-react", "an app made with React and Vite", "apps"}, parts: []string{"web", "react"}, ports: 8400, image: imageNode, node: true},
		{Kind: Kind{"cli", "a command line in Go", "cli"}, parts: []string{"golang", "cli"}, image: imageGo},
	}
}

func kindOf(name string) (kind, error) {
	for _, k := range kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("there is no kind %q", name)
}
