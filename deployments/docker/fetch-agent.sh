#!/bin/sh
# Fetches an agent at its pinned version into OUT/opt/agent, with its commands in
# OUT/usr/local/bin. Refuses a package that is not, byte for byte, the pinned one.
#
#   fetch-agent.sh LOCK AGENT ARCH OUT
set -eu

lock=$1 agent=$2 arch=$3 out=$4

line=$(awk -v agent="$agent" -v arch="$arch" '$1 == agent && $2 == arch' "$lock")
if [ -z "$line" ]; then
	echo "fetch-agent: $lock has no agent \"$agent\" for \"$arch\"" >&2
	exit 1
fi
# The fields of a line hold no spaces.
# shellcheck disable=SC2086
set -- $line
package=$3 version=$4 integrity=$5
shift 5

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "$package@$version" >/dev/null
found=$(node -e '
	const { createHash } = require("node:crypto");
	const hash = createHash("sha512").update(require("node:fs").readFileSync(process.argv[1]));
	console.log("sha512-" + hash.digest("base64"));' "$work"/*.tgz)
if [ "$found" != "$integrity" ]; then
	echo "fetch-agent: $package@$version is $found, pinned is $integrity" >&2
	exit 1
fi

mkdir -p "$out/opt/agent" "$out/usr/local/bin"
tar -xzf "$work"/*.tgz -C "$out/opt/agent" --strip-components=1 --no-same-owner
# Codex's voice server stays out: nobody speaks to a pod.
rm -rf "$out"/opt/agent/vendor/*/codex-resources/voice
chmod -R u=rwX,go=rX "$out/opt/agent"
for command in "$@"; do
	file="opt/agent/${command#*=}"
	if [ ! -f "$out/$file" ]; then
		echo "fetch-agent: $package@$version has no file ${command#*=}" >&2
		exit 1
	fi
	chmod 755 "$out/$file"
	ln -s "/$file" "$out/usr/local/bin/${command%%=*}"
done
