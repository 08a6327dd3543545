#!/usr/bin/env bash
# Lints the Go of the templates, rendered, as rdev's own: lint-templates.sh GOLANGCI-LINT
# All rules but one: a program of the templates reads its environment itself.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
lint=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

go build -C "$root" -o "$dir/rdev" ./cmd/rdev
cd "$dir"
./rdev templates render go-api go-api > /dev/null
./rdev templates render monorepo monorepo --component service:api --component worker:mail --component cli:tool > /dev/null
for module in go-api/go.mod monorepo/*/go.mod monorepo/*/*/go.mod; do
  (cd "$(dirname "$module")" && "$lint" run --config "$root/.golangci.yml" --disable forbidigo ./... > "$dir/said" 2>&1) || {
    echo "the template's $module:" >&2
    cat "$dir/said" >&2
    exit 1
  }
done
