package templates_test

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/templates"
)

// instruction is a line of a Dockerfile.
type instruction struct {
	word  string
	flags map[string]string
	args  []string
	rest  string // all after the word and the flags
}

// readDockerfile reads a Dockerfile as Docker does, as far as templates go.
func readDockerfile(t *testing.T, text string) []instruction {
	t.Helper()
	var list []instruction
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := instruction{flags: map[string]string{}}
		i.word, i.rest, _ = strings.Cut(line, " ")
		for strings.HasPrefix(i.rest, "--") {
			var flag string
			flag, i.rest, _ = strings.Cut(i.rest, " ")
			name, value, _ := strings.Cut(flag, "=")
			i.flags[name] = value
		}
		i.args = strings.Fields(i.rest)
		if !slices.Contains([]string{"FROM", "WORKDIR", "ENV", "COPY", "RUN", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}, i.word) || len(i.args) == 0 {
			t.Errorf("%q is no instruction", line)
		}
		list = append(list, i)
	}
	return list
}

// ignores says whether .dockerignore keeps a path out of the context.
func ignores(files map[string]templates.File, name string) bool {
	for line := range strings.Lines(string(files[".dockerignore"].Data)) {
		pattern := strings.TrimSpace(line)
		if pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		below := strings.HasPrefix(pattern, "**/")
		pattern = strings.TrimPrefix(pattern, "**/")
		for at := name; at != "."; at = path.Dir(at) {
			subject := at
			if below {
				subject = path.Base(at)
			}
			if ok, err := path.Match(pattern, subject); ok || err != nil {
				return true
			}
		}
	}
	return false
}

func TestDockerfilesAreWhole(t *testing.T) {
	t.Parallel()
	for name, files := range everything(t) {
		for at, file := range files {
			if path.Base(at) == "Dockerfile" {
				t.Run(name+" "+at, func(t *testing.T) { checkDockerfile(t, files, readDockerfile(t, string(file.Data))) })
			}
		}
	}
}

// checkDockerfile wants an image that is made of what is there, and does not run as root.
func checkDockerfile(t *testing.T, files map[string]templates.File, list []instruction) {
	t.Helper()
	var stages []string
	user, starts, image := "", false, ""
	for _, i := range list {
		switch i.word {
		case "FROM":
			image, user, starts = i.args[0], "", false
			if image != "scratch" && (!strings.Contains(image, ":") || strings.HasSuffix(image, ":latest")) {
				t.Errorf("FROM %s names no version", image)
			}
			if len(i.args) == 3 && i.args[1] == "AS" {
				stages = append(stages, i.args[2])
			} else if len(i.args) != 1 {
				t.Errorf("FROM %s", i.rest)
			}
		case "COPY":
			if from, ok := i.flags["--from"]; ok {
				if !slices.Contains(stages, from) {
					t.Errorf("COPY --from=%s: there is no such stage", from)
				}
				continue
			}
			for _, source := range i.args[:len(i.args)-1] {
				found := false
				for file := range files {
					below := source == "." || file == source || strings.HasPrefix(file, source+"/")
					found = found || below && !ignores(files, file)
				}
				if !found {
					t.Errorf("COPY %s: nothing of that is there", source)
				}
			}
		case "USER":
			user = i.args[0]
		case "ENTRYPOINT", "CMD":
			starts = true
			var argv []string
			if err := json.Unmarshal([]byte(i.rest), &argv); err != nil || len(argv) == 0 {
				t.Errorf("%s %s is not in the form of JSON: %v", i.word, i.rest, err)
			}
		}
	}
	if strings.Trim(user, "0123456789:") != "" || user == "" || strings.HasPrefix(user, "0") {
		t.Errorf("it runs as %q", user)
	}
	if !starts && !strings.HasPrefix(image, "nginxinc/nginx-unprivileged:") {
		t.Error("it starts nothing")
	}
	if len(stages) == 0 && image != "alpine:3.22" {
		t.Error("there is nothing that builds it")
	}
}

// What a program listens on is one port, in all places.
func TestThePortIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	files := render(t, "monorepo", templates.Project{Name: "shop", Components: all()})
	for directory, of := range map[string]struct {
		port  string
		files []string
	}{
		"services/api": {"8100", []string{"main.go", "Dockerfile", "README.md"}},
		"workers/mail": {"8200", []string{"main.go", "Dockerfile", "README.md"}},
		"apps/site":    {"8300", []string{"astro.config.mjs", "nginx.conf", "Dockerfile", "README.md"}},
		"apps/web":     {"8400", []string{"vite.config.js", "nginx.conf", "Dockerfile", "README.md"}},
	} {
		for _, file := range of.files {
			if !strings.Contains(string(files[directory+"/"+file].Data), of.port) {
				t.Errorf("%s/%s does not name the port %s", directory, file, of.port)
			}
		}
	}
	if strings.Contains(string(files["cli/ctl/Dockerfile"].Data), "EXPOSE") {
		t.Error("a command line listens")
	}
}

// No secret gets into an image or into git.
func TestSecretsAreIgnored(t *testing.T) {
	t.Parallel()
	for name, files := range everything(t) {
		for _, secret := range []string{".env", ".env.production", "services/api/.env", "tls.key", "a/b.pem", "secrets/token", "a/secrets/token"} {
			if !ignores(files, secret) {
				t.Errorf("%s: %s would get into an image", name, secret)
			}
		}
		dir := write(t, map[string]templates.File{".gitignore": files[".gitignore"]})
		run(t, dir, `git init -q; for f in .env .env.production a/.env tls.key a/b.pem secrets/token bin/x a/node_modules/x a/dist/x; do git check-ignore -q "$f"; done; ! git check-ignore -q .env.example`)
		for file := range files {
			if strings.HasPrefix(file, "bin/") || strings.Contains(file, "dist/") {
				t.Errorf("%s: %s is what is built", name, file)
			}
		}
	}
}
