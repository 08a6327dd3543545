package up_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testkit"
)

// cookbooks are the scripts that there are, with what they say.
func cookbooks() []cookbook {
	return []cookbook{
		{
			name: "landing", page: "landing-page.md", project: "land",
			says:  []string{"create  repository land.git", "pass 4\n", "[build] Complete!", "says: Made by hand, changed by rdev"},
			again: "nothing to commit",
		},
		{
			name: "monorepo", page: "monorepo.md", project: "store",
			says:  []string{"create  cache rdev-", "ok  \texample.com/store/workers/mail\t", "== cli/ctl", `says: {"rows":2,"cached":2}`},
			again: `says: {"rows":4,"cached":4}`,
		},
	}
}

// The scripts of the cookbooks make their projects, find them made, and leave nothing of
// them. What their pages tell to type is what they do.
func TestTheCookbooksWork(t *testing.T) {
	dir := t.TempDir()
	// Before anything else runs: a file that is open for writing cannot be run.
	if err := os.WriteFile(filepath.Join(dir, "rdev"), []byte(notingRdev), 0o755); err != nil {
		t.Fatal(err)
	}
	i, stop := startHere(t, t.TempDir())
	each := func(name string, do func(cookbook)) {
		t.Run(name, func(t *testing.T) {
			for _, c := range cookbooks() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					do(c.of(t, i, dir))
				})
			}
		})
	}
	each("made", func(c cookbook) {
		said := c.must("run", c.project)
		for _, want := range append(c.says, "route/"+c.project+".localhost  ok     route") {
			if !strings.Contains(said, want) {
				c.t.Errorf("it does not say %q:\n%s", want, said)
			}
		}
		if said := c.must("run", c.project); !strings.Contains(said, c.again) {
			c.t.Errorf("it does not say %q the second time:\n%s", c.again, said)
		}
		if said := c.must("status", c.project); !strings.Contains(said, "state       ready\n") || !strings.Contains(said, "  cancelled  ") {
			c.t.Errorf("the status is\n%s", said)
		}
	})
	if have, want := i.ofProjects(t), "2 workspaces, 4 repositories, 1 databases, 1 roles, 8 credentials, users of Redis *3, keys :1, routes 502 502"; have != want {
		t.Errorf("there is %s, want %s", have, want)
	}
	each("gone", func(c cookbook) {
		c.must("teardown", c.project)
		if said := c.must("teardown", c.project); said != "there is no project "+c.project+"\n" {
			c.t.Errorf("the second time it says %q", said)
		}
		c.follows()
	})
	if have, want := i.ofProjects(t), "0 workspaces, 0 repositories, 0 databases, 0 roles, 0 credentials, users of Redis *2, keys :0, routes 404 404"; have != want {
		t.Errorf("left is %s, want %s", have, want)
	}
	stop()
	each("without rdev", func(c cookbook) {
		if said, err := c.command("teardown", c.project); err == nil || !strings.Contains(said, "no rdev runs on this machine") {
			c.t.Errorf("it says %v, %q", err, said)
		}
	})
}

// ofProjects is how much there is of the projects of cookbooks, of each repository its files
// and its tokens.
func (i *instance) ofProjects(t *testing.T) string {
	t.Helper()
	var found []string
	for _, dir := range []string{"workspaces", "repositories"} {
		entries, err := filepath.Glob(filepath.Join(i.home, dir, "[a-z]*"))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprintf("%d %s", len(entries), dir))
	}
	database := connect(t, i.home, "")
	for _, of := range [][2]string{{"databases", databasesOfProjects}, {"roles", rolesOfProjects}, {"credentials", `select name from provisioner.credentials`}} {
		found = append(found, fmt.Sprintf("%d %s", len(column(t, database, of[1])), of[0]))
	}
	found = append(found, "users of Redis "+i.redis("ACL", "USERS"), "keys "+i.redis("DBSIZE"), "routes")
	said := strings.Join(found, ", ")
	for _, c := range cookbooks() {
		said += fmt.Sprintf(" %d", i.route(c.project))
	}
	return said
}

// notingRdev is an rdev that notes with which arguments it is run.
const notingRdev = `#!/bin/sh
printf '%s\n' "$*" >>"$NOTED"
exec "$NOTING" "$@"
`

// cookbook is a script of cookbooks, that a test runs as a user does.
type cookbook struct {
	name, page, project string
	says                []string // by its first run
	again               string   // it says by its second

	t     *testing.T
	noted string // a file with the arguments of each rdev that it ran
	env   []string
}

// of is a cookbook that a test has with a running rdev; in dir is an rdev that notes.
func (c cookbook) of(t *testing.T, i *instance, dir string) cookbook {
	t.Helper()
	c.t, c.noted = t, filepath.Join(dir, c.name)
	// Go gets the modules that this machine has, which were compared with the sums when it
	// got them, and compiles each package once.
	c.env = append(os.Environ(), "RDEV_HOME="+i.home, "RDEV="+filepath.Join(dir, "rdev"), "NOTING="+filepath.Join(binaries, "rdev"), "NOTED="+c.noted,
		"GOPROXY=file://"+filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download")+","+goEnv(t, "GOPROXY"),
		"GOSUMDB=off", "GOFLAGS=-trimpath", "CGO_ENABLED=0")
	return c
}

func (c cookbook) command(args ...string) (said string, err error) {
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(root, "cookbooks", "scripts", c.name+"-test.sh"), args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c cookbook) must(args ...string) string {
	c.t.Helper()
	said, err := c.command(args...)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", c.name, strings.Join(args, " "), err, said)
	}
	return said
}

// follows wants the script to have run each rdev that its page has in its sh blocks, in their
// order, but for what it passes on to npm and Go.
func (c cookbook) follows() {
	c.t.Helper()
	lines := "set -eu\nrdev() { case $1 in ops) ;; *) printf '%s\\n' \"$*\" >&2 ;; esac; }\ncurl() { :; }\n" +
		strings.Join(testkit.Blocks(c.t, filepath.Join(root, "cookbooks", c.page), "sh"), "")
	told, err := exec.CommandContext(c.t.Context(), "sh", "-c", lines).CombinedOutput()
	if err != nil || strings.Count(string(told), "\n") < 9 {
		c.t.Fatalf("%s tells %v\n%s", c.page, err, told)
	}
	noted, err := os.ReadFile(c.noted)
	if err != nil {
		c.t.Fatal(err)
	}
	done := regexp.MustCompile(` -e (npm_|NODE_|GO|CGO_)\S+`).ReplaceAllString(string(noted), "")
	for line := range strings.Lines(string(told)) {
		_, after, ok := strings.Cut("\n"+done, "\n"+line)
		if !ok {
			c.t.Errorf("%s tells to run rdev %sand the script has not, after the line before it, but\n%s", c.page, line, noted)
			return
		}
		done = after
	}
}
