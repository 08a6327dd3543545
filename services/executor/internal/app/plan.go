package app

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// planFor says what to run for an operation. problem is what makes that
// impossible, in words for the one who asked.
func planFor(op contract.Operation, home string) (p plan, problem string) {
	cmd := op.Command
	if cmd == nil {
		return plan{}, "the operation has no command"
	}
	switch {
	case cmd.Shell != nil:
		p.spec.Argv = cmd.Shell.Argv
		if cmd.Shell.Script != "" {
			p.spec.Argv = []string{"/bin/sh", shellFlags(op), cmd.Shell.Script}
		}
		p.newRelay = newTextRelay(judgeWork(op, judgeProgram))
	case cmd.Git != nil:
		p.spec.Argv = gitArgv(*cmd.Git)
		p.spec.Env = []string{"GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat", "GIT_ALLOW_PROTOCOL=file:git:http:https:ssh"}
		p.newRelay = newTextRelay(judgeWork(op, judgeGit))
	case (cmd.Image != nil || cmd.Deploy != nil) && op.Work == nil:
		return plan{}, "images and deployments are for steps of builds"
	case cmd.Image != nil:
		p.spec.Argv = imageArgv(*cmd.Image)
		p.newRelay = newTextRelay(judgeWork(op, judgeProgram))
	case cmd.Deploy != nil:
		p.spec.Argv = deployArgv(*cmd.Deploy, time.Duration(cmd.Timeout))
		p.newRelay = newTextRelay(judgeWork(op, judgeProgram))
	case cmd.Agent != nil:
		if p, problem = agentPlanFor(op, home); problem != "" {
			return plan{}, problem
		}
	}
	if len(p.spec.Argv) == 0 {
		return plan{}, "the command is empty"
	}
	p.spec.Dir = cmd.Workdir
	if op.Work != nil && len(op.Work.Services) > 0 {
		p.spec.Argv = withServices(op.Work.Services, p.spec.Argv)
	}
	if op.Work != nil && op.Work.Repository != nil {
		p.spec.Argv, p.spec.Dir = checkedOut(*op.Work.Repository, cmd.Workdir, p.spec.Argv), ""
	}
	if op.Work != nil && len(op.Work.Files.Inputs) > 0 {
		p.spec.Env = append(p.spec.Env, "RDEV_INPUTS="+domain.InputsOf(home))
	}
	if op.Traceparent != "" {
		p.spec.Env = append(p.spec.Env, "TRACEPARENT="+op.Traceparent)
	}
	for _, name := range slices.Sorted(maps.Keys(cmd.Env)) {
		p.spec.Env = append(p.spec.Env, name+"="+cmd.Env[name])
	}
	if cmd.Timeout > 0 {
		p.timeout = time.Duration(cmd.Timeout)
	}
	return p, ""
}

// shellFlags are those under which a script runs: that of a build's step ends with the
// first command that fails.
func shellFlags(op contract.Operation) string {
	if op.Work != nil && op.Work.Step != nil {
		return "-ec"
	}
	return "-c"
}

// gitScripts are what the verbs come down to. Every value is an argument of the
// script, never part of its text.
const (
	// Nothing is said of a repository without a commit.
	gitHead = `{ git rev-parse -q --verify HEAD >/dev/null || exit 0
printf 'HEAD is %s on %s\n' "$(git rev-parse HEAD)" "$(git symbolic-ref -q --short HEAD || echo detached)"; }`
	gitClone = `url=$1; shift; git clone "$@" -- "$url" . && ` + gitHead
	// Of the repository no more is fetched than the commit itself, where the server can do that.
	gitResolve = `url=$1 ref=$2; git init -q . && git fetch -q --depth=1 --filter=tree:0 -- "$url" "$ref" </dev/null || exit
printf 'HEAD is %s on %s\n' "$(git rev-parse 'FETCH_HEAD^{commit}')" "$ref"`
	gitPull     = `git pull --no-rebase --ff-only "$@" </dev/null && ` + gitHead
	gitCheckout = `git checkout "$@" -- && ` + gitHead
	gitCommit   = `message=$1; author=$2; shift 2; git add -A -- "$@" || exit
if git diff --cached --quiet; then echo 'nothing to commit'; else
git -c user.name="${author%% <*}" -c user.email="$(printf %s "${author##*<}" | tr -d '>')" commit -q -m "$message" || exit; fi
` + gitHead
)

const defaultAuthor = "rdev <rdev@localhost>"

// script is a script with its arguments.
func script(text string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", text, "rdev"}, args...)
}

// gitArgv is the command of a git verb, which the gateway has validated.
func gitArgv(g contract.Git) []string {
	switch g.Verb {
	case "clone":
		args := []string{g.URL}
		if g.Ref != "" {
			args = append(args, "--branch="+g.Ref)
		}
		if g.Depth > 0 {
			args = append(args, "--depth="+strconv.Itoa(g.Depth))
		}
		return script(gitClone, args...)
	case contract.GitResolve:
		return script(gitResolve, g.URL, cmp.Or(g.Ref, "HEAD"))
	case "checkout":
		if g.Create {
			return script(gitCheckout, "-b", g.Ref)
		}
		return script(gitCheckout, g.Ref)
	case "branch":
		if g.Name != "" {
			return []string{"git", "branch", "--", g.Name}
		}
		return []string{"git", "branch", "--list", "--all", "--no-color", "--verbose"}
	case "status":
		return []string{"git", "status", "--porcelain=v2", "--branch"}
	case "diff":
		return slices.Concat([]string{"git", "diff", "--no-color"}, optional(g.Ref), []string{"--"}, g.Paths)
	case "log":
		limit := g.Limit
		if limit == 0 {
			limit = 50
		}
		return slices.Concat([]string{"git", "log", "--no-color", "--max-count=" + strconv.Itoa(limit)}, optional(g.Ref), []string{"--"}, g.Paths)
	case "commit":
		author := g.Author
		if author == "" {
			author = defaultAuthor
		}
		paths := g.Paths
		if len(paths) == 0 {
			paths = []string{"."}
		}
		return script(gitCommit, append([]string{g.Message, author}, paths...)...)
	case "push":
		remote, ref := g.Remote, g.Ref
		if remote == "" {
			remote = "origin"
		}
		if ref == "" {
			ref = "HEAD"
		}
		args := []string{"git", "push", "--porcelain"}
		if g.Force {
			args = append(args, "--force-with-lease")
		}
		return append(args, "--", remote, ref)
	case "pull":
		if g.Ref == "" {
			return script(gitPull, optional(g.Remote)...)
		}
		return script(gitPull, cmp.Or(g.Remote, "origin"), g.Ref)
	}
	return nil
}

func optional(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}
