package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/database/local"
	"github.com/orchard9/rdev/services/executor"
)

// toolTimeout bounds how long a tool may take to tell its version.
const toolTimeout = 5 * time.Second

func (c *cli) checkTools(ctx context.Context) []check {
	const section = "tools"
	git := checkTool(ctx, section, "git", "git", "--version")
	if git.Grade != gradeOK {
		git.Grade, git.Fix = gradeMissing, "apt-get install git"
	}
	checks := []check{git, c.checkPostgreSQL(ctx)}
	for _, tool := range []struct{ name, program, argument, fix string }{
		{"node", "node", "--version", "some agents need it: apt-get install nodejs npm"},
		{"nats", "nats", "--version", "to look into the streams: https://github.com/nats-io/natscli/releases"},
		{"claude-code", "claude", "--version", "npm install -g @anthropic-ai/claude-code"},
		{"opencode", "opencode", "--version", "npm install -g opencode-ai"},
		{"codex", "codex", "--version", "npm install -g @openai/codex"},
		{"gemini", "gemini", "--version", "npm install -g @google/gemini-cli"},
	} {
		found := checkTool(ctx, section, tool.name, tool.program, tool.argument)
		if found.Grade != gradeOK {
			found.Fix = tool.fix
		}
		checks = append(checks, found)
	}
	return checks
}

// checkTool finds a program in PATH and asks for its version.
func checkTool(ctx context.Context, section, name, program, argument string) check {
	path, err := exec.LookPath(program)
	if err != nil {
		return check{Section: section, Name: name, Grade: gradeWarn, Detail: "not in PATH"}
	}
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, path, argument)
	command.WaitDelay = time.Second // whatever it leaves behind with its pipe
	text, err := command.Output()
	if err != nil {
		return check{Section: section, Name: name, Grade: gradeWarn, Detail: path + " does not tell its version: " + err.Error()}
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return check{Section: section, Name: name, Grade: gradeOK, Detail: render.Cut(render.Line(version), 60) + " (" + path + ")"}
}

// checkPostgreSQL says which database `rdev up` would use.
func (c *cli) checkPostgreSQL(ctx context.Context) check {
	found := check{Section: "tools", Name: "postgresql", Grade: gradeOK}
	if c.settings.DatabaseURL != "" {
		found.Detail = "the one of RDEV_DATABASE_URL"
		return found
	}
	cache := ""
	if user, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(user, "rdev")
	}
	if installations := local.Find(ctx, cache); len(installations) > 0 {
		found.Detail = installations[0].String()
		return found
	}
	found.Grade, found.Detail = gradeWarn, "no server binaries; rdev up will download them"
	found.Fix = "apt-get install postgresql, or set RDEV_DATABASE_URL"
	return found
}

// checkIsolation says how far this machine confines what runs in projects.
func checkIsolation(ctx context.Context) []check {
	const section = "isolation of the local runtime"
	runner, err := runnerPath()
	if err != nil {
		return []check{{Section: section, Name: "rdev-runner", Grade: gradeWarn, Detail: err.Error()}}
	}
	aspects, err := executor.Isolation(ctx, runner)
	if err != nil {
		return []check{{Section: section, Name: "rdev-runner", Grade: gradeMissing, Detail: err.Error(), Fix: "make build"}}
	}
	open := []string{"none", "open", "off", "unlimited", "unavailable", "unconfined"}
	var checks []check
	for _, aspect := range aspects {
		found := check{Section: section, Name: aspect.Name, Grade: gradeOK, Detail: aspect.Level}
		if slices.Contains(open, aspect.Level) {
			found.Grade = gradeWarn
		}
		if aspect.Detail != "" {
			found.Detail += ": " + aspect.Detail
		}
		checks = append(checks, found)
	}
	return checks
}

// checkGateway says whether the gateway that commands would go to is ready. It
// not running is no fault of the machine, so that is a warning.
func (c *cli) checkGateway(ctx context.Context) []check {
	found := check{Section: "gateway", Name: "gateway", Grade: gradeWarn}
	url, key, err := c.target()
	if err != nil {
		found.Detail, found.Fix = err.Error(), hint(err)
		return []check{found}
	}
	api, err := client.New(client.Config{URL: url, Key: key, Tries: 1})
	if err != nil {
		found.Detail = err.Error()
		return []check{found}
	}
	if err := api.Ready(ctx); err != nil {
		found.Detail, found.Fix = err.Error(), hint(err)
		if _, answered := errors.AsType[*client.Problem](err); answered {
			found.Detail = url + " is not ready: " + err.Error()
		}
		return []check{found}
	}
	found.Grade, found.Detail = gradeOK, url+gatewayVersion(ctx, api)+" is ready"
	access := check{Section: "gateway", Name: "API key", Grade: gradeOK, Detail: "is taken"}
	if _, err := api.Agents(ctx); err != nil {
		access.Grade, access.Detail, access.Fix = gradeWarn, err.Error(), hint(err)
	}
	return []check{found, access}
}

func gatewayVersion(ctx context.Context, api *client.Client) string {
	raw, err := api.Version(ctx)
	if err != nil {
		return ""
	}
	var version struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(raw, &version); err != nil || version.Version == "" {
		return ""
	}
	return " (" + render.Line(version.Version) + ")"
}
