package app

import (
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// checkoutStep begins the names of the steps that tell which commit a build is of. No step
// of a specification can be called so.
const checkoutStep = "@checkout"

const (
	checkoutAttempts = 3
	checkoutBackoff  = 2 * time.Second
)

// Pinned is a build all of whose steps see the same commit of a repository, whatever is
// pushed while it runs: where several steps have a ref of one that is no commit, they
// need a step more, which comes before them and tells what it is.
func Pinned(build contract.Build) contract.Build {
	uses := map[contract.Repository]int{}
	for _, step := range build.Steps {
		if step.Repository != nil && !isCommit(step.Repository.Ref) {
			uses[*step.Repository]++
		}
	}
	build.Steps = slices.Clone(build.Steps)
	var steps []contract.BuildStep
	names := map[contract.Repository]string{}
	for i, step := range build.Steps {
		if step.Repository == nil || uses[*step.Repository] < 2 {
			continue
		}
		of := *step.Repository
		if names[of] == "" {
			names[of] = checkoutStep
			if n := len(names); n > 1 {
				names[of] += "-" + strconv.Itoa(n)
			}
			steps = append(steps, resolving(names[of], of, step.Command))
		}
		build.Steps[i].Needs = append([]string{names[of]}, step.Needs...)
	}
	build.Steps = append(steps, build.Steps...)
	return build
}

// resolving is the step that tells which commit a repository is at, with the environment
// and the credentials of one that is to have it.
func resolving(name string, repository contract.Repository, like contract.Command) contract.BuildStep {
	return contract.BuildStep{
		Name: name, Of: name, Kind: contract.KindWorkCustom, State: contract.StepPending,
		MaxAttempts: checkoutAttempts, Backoff: contract.Duration(checkoutBackoff),
		Command: contract.Command{
			Git: &contract.Git{Verb: contract.GitResolve, URL: repository.URL, Ref: repository.Ref}, Env: like.Env, Credentials: like.Credentials,
		},
	}
}

func isCommit(ref string) bool {
	sum, err := hex.DecodeString(ref)
	return err == nil && (len(sum) == 20 || len(sum) == 32)
}

// commitOf is the repository of a step, at the commit that a step before it told.
func commitOf(build *contract.Build, step contract.BuildStep) *contract.Repository {
	if step.Repository == nil {
		return nil
	}
	for _, of := range build.Steps {
		if git := of.Command.Git; of.Commit != "" && git != nil && git.Verb == contract.GitResolve && git.URL == step.Repository.URL && git.Ref == step.Repository.Ref {
			return &contract.Repository{URL: git.URL, Ref: of.Commit}
		}
	}
	return step.Repository
}
