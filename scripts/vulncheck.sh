#!/usr/bin/env bash
# Looks for known vulnerabilities in what is reachable from the code, with the database of
# the Go project as the module golang.org/x/vulndb has it: whoever gets modules gets that, too.
#
#   scripts/vulncheck.sh GOVULNCHECK MODULE…
set -euo pipefail
cd "$(dirname "$0")/.."
govulncheck=$1
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Outside of any module: it is no dependency of ours.
found=$(cd "$work" && GOWORK=off GOFLAGS=-mod=mod go mod download -json golang.org/x/vulndb@latest)
source=$(jq -r .Dir <<< "$found")
[ -d "$source/data/osv" ] || { echo "vulncheck: golang.org/x/vulndb has no data/osv" >&2; exit 1; }

# The layout that go.dev/security/vuln/database tells.
mkdir -p "$work/db/ID" "$work/db/index"
cp "$source"/data/osv/*.json "$work/db/ID/"
chmod -R u+w "$work/db"
find "$work/db/ID" -name '*.json' -print0 | xargs -0 jq -c 'select(.withdrawn == null)' > "$work/all.json"
jq -s '{modified: (map(.modified) | max)}' "$work/all.json" > "$work/db/index/db.json"
jq -s 'map({id, modified, aliases} | with_entries(select(.value != null)))' "$work/all.json" > "$work/db/index/vulns.json"
jq -s '[.[] as $v | $v.affected[] | {path: .package.name, id: $v.id, modified: $v.modified, fixed: ([.ranges[]?.events[]?.fixed // empty] | last)}]
  | group_by(.path) | map({path: .[0].path, vulns: (map({id, modified, fixed} | with_entries(select(.value != null))) | unique_by(.id))})' \
  "$work/all.json" > "$work/db/index/modules.json"
echo "$(jq length "$work/db/index/vulns.json") entries of golang.org/x/vulndb $(jq -r .Version <<< "$found"), $(go version)"

failed=0
for module in "$@"; do
  echo "== $module"
  (cd "$module" && GOWORK=off "$govulncheck" -db "file://$work/db" ./...) || failed=1
done
exit $failed
