# Two commands matter: make run, make test. Everything else: make help.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := $(shell sed -n 's|^\t\./||p' go.work)
CACHE   := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/rdev
# Tools are built once for a libs/tools/go.sum and a Go version, not once for a clone.
TOOLS   := $(CACHE)/tools/$(shell cat libs/tools/go.mod libs/tools/go.sum | sha256sum | cut -c1-16)-$(shell go env GOVERSION 2>/dev/null)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
export CGO_ENABLED ?= 0

.PHONY: help
help: ## list what can be made
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: check
check: ## see whether this machine has what is needed
	@command -v go >/dev/null || { echo "Go is missing: install 1.26 or later from https://go.dev/dl" >&2; exit 2; }
	@go version | awk '{split(substr($$3,3),v,"."); if (v[1]*1000+v[2] < 1026) {print "Go 1.26 or later is needed, this is " $$3 > "/dev/stderr"; exit 2}}'
	@command -v git >/dev/null || { echo "git is missing: apt-get install git" >&2; exit 2; }

.PHONY: build
build: check ## build bin/rdev, bin/rdev-runner and the five services
	@go build -trimpath -ldflags "-s -w -X github.com/orchard9/rdev/libs/service.version=$(VERSION)" -o bin/ ./cmd/rdev $(wildcard ./services/*/cmd/*)

.PHONY: run
run: check ## build, and run all of rdev on this machine (the first build takes a few minutes)
	@$(MAKE) --no-print-directory build
	@exec bin/rdev up

.PHONY: test
test: check gitea ## run every test that needs no cluster
	@go test work

.PHONY: test-race
test-race: check ## run the tests of what is concurrent under the race detector
	@CGO_ENABLED=1 go test -race ./libs/blob/... ./libs/bus/... ./libs/service/... ./services/executor/internal/app/... ./services/gateway/...

.PHONY: test-agents
test-agents: check ## drive the real agent CLIs against a stub model (installs them into the cache)
	@scripts/install-agents.sh
	@go test -count=1 -tags agents ./services/executor/internal/agents/...

.PHONY: test-cluster
test-cluster: check ## run the tests that need a Kubernetes, on a real one of one node (needs root)
	@go run ./libs/testcluster/cmd/testcluster prepare
	@go test -count=1 -tags cluster -p 1 -timeout 30m \
		./libs/testcluster/... ./services/executor/internal/adapters/kube ./services/provisioner/internal/adapters/kube ./cmd/rdev/internal/deploy
	@go test -count=1 -tags cluster -timeout 10m -run InARealCluster ./services/provisioner

.PHONY: fuzz
fuzz: check ## fuzz every parser of outside input, FUZZTIME each (20s)
	@scripts/fuzz.sh "$${FUZZTIME:-20s}"

.PHONY: bench
bench: build ## measure rdev beside raw NATS and raw HTTP, and print the ratios
	@go run ./cmd/rdev/internal/bench

.PHONY: bench-cluster
bench-cluster: build ## measure projects in pods, beside kubectl exec (needs root)
	@go run ./libs/testcluster/cmd/testcluster prepare
	@go run ./cmd/rdev/internal/bench -cluster

NATSCLI := v0.5.1

.PHONY: nats
nats: check ## build the nats CLI into bin/, for looking into the streams
	@test -x "$(CACHE)/natscli-$(NATSCLI)/nats" || GOWORK=off GOBIN="$(CACHE)/natscli-$(NATSCLI)" go install github.com/nats-io/natscli/nats@$(NATSCLI)
	@mkdir -p bin && ln -sf "$(CACHE)/natscli-$(NATSCLI)/nats" bin/nats

.PHONY: gitea
gitea: check ## build the Gitea of the tests into the cache (once, about four minutes; needs gcc)
	@scripts/gitea.sh > /dev/null

.PHONY: tools
tools: check ## build the linters into the cache
	@test -x "$(TOOLS)/golangci-lint" && test -x "$(TOOLS)/deadcode" && test -x "$(TOOLS)/gotestsum" || { \
		echo "building the tools, once (about ten minutes)"; \
		GOWORK=off GOBIN="$(TOOLS)" go -C libs/tools install tool; }

.PHONY: lint
lint: tools ## lint, also what the templates make, and look for dead code
	@"$(TOOLS)/golangci-lint" run $(addprefix ./,$(addsuffix /...,$(MODULES)))
	@scripts/lint-templates.sh "$(TOOLS)/golangci-lint"
	@out=$$("$(TOOLS)/deadcode" -test -tags agents,cluster $(addprefix ./,$(addsuffix /...,$(MODULES)))); test -z "$$out" || { echo "dead code:" >&2; echo "$$out" >&2; exit 1; }

.PHONY: fmt
fmt: tools ## format
	@"$(TOOLS)/golangci-lint" fmt $(addprefix ./,$(addsuffix /...,$(MODULES)))

.PHONY: vulncheck
vulncheck: tools ## look for known vulnerabilities, with the Go that go.work names and the database as a module
	@GOTOOLCHAIN=$$(sed -n 's/^toolchain //p' go.work) scripts/vulncheck.sh "$(TOOLS)/govulncheck" $(MODULES)

.PHONY: hermetic
hermetic: check ## build every module without the workspace, and check that each go.mod is tidy
	@for m in $(MODULES); do (cd $$m && GOWORK=off go build ./... && GOWORK=off go mod tidy -diff) || { echo "module $$m" >&2; exit 1; }; done

.PHONY: tidy
tidy: check ## tidy every go.mod
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy); done

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin
