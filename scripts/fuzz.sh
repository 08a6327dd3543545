#!/usr/bin/env bash
# Fuzzes every target of the workspace for a while each: scripts/fuzz.sh 20s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
grep -rlE --include='*_test.go' '^func Fuzz' cmd libs services | while read -r file; do
  package=./$(dirname "$file")
  sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while read -r target; do
    echo "== $package $target"
    go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x </dev/null
  done
done
