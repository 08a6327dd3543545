#!/bin/sh
# Installs the agents that rdev drives, at the versions its drivers pin, into
# ${XDG_CACHE_HOME:-$HOME/.cache}/rdev/agents/<name>-<version>/bin.
# What is there already is left as it is.
#
#   scripts/install-agents.sh             all of them
#   scripts/install-agents.sh codex ...   these
#
# The versions are those of the Info of each driver in
# services/executor/internal/agents; make test-agents fails where they differ.
set -eu

cache="${XDG_CACHE_HOME:-$HOME/.cache}/rdev/agents"

case "$(uname -m)" in
x86_64) cpu=x64 codex_target=x86_64-unknown-linux-musl opencode_suffix=-baseline ;;
aarch64 | arm64) cpu=arm64 codex_target=aarch64-unknown-linux-musl opencode_suffix= ;;
*)
	echo "install-agents: no agent is built for $(uname -m)" >&2
	exit 1
	;;
esac

# install NAME VERSION PACKAGE FILE... puts the package into the cache and links
# each FILE of it (BINARY=PATH below node_modules) into bin. The directory gets
# its name only when all of it is there, so a broken download is done again.
install() {
	name=$1 version=$2 package=$3
	shift 3
	dir="$cache/$name-$version"
	if [ -d "$dir" ]; then
		echo "$dir is there"
		return
	fi
	echo "installing $package into $dir"
	mkdir -p "$cache"
	partial=$(mktemp -d "$cache/.$name-$version.XXXXXX")
	trap 'rm -rf "$partial"' EXIT
	npm install --prefix "$partial" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error "$package"
	mkdir "$partial/bin"
	for link in "$@"; do
		test -e "$partial/node_modules/${link#*=}"
		chmod +x "$partial/node_modules/${link#*=}"
		ln -s "../node_modules/${link#*=}" "$partial/bin/${link%%=*}"
	done
	chmod 755 "$partial"
	mv "$partial" "$dir"
	trap - EXIT
}

# The platform packages hold the single binary: no install script has to run,
# and nothing but Gemini CLI needs Node.js.
agent() {
	case "$1" in
	claude-code)
		install claude-code 2.1.330 "@anthropic-ai/claude-code-linux-$cpu@2.1.330" \
			"claude=@anthropic-ai/claude-code-linux-$cpu/claude"
		;;
	opencode)
		install opencode 1.18.33 "opencode-linux-$cpu$opencode_suffix@1.18.33" \
			"opencode=opencode-linux-$cpu$opencode_suffix/bin/opencode"
		;;
	codex)
		install codex 0.169.0 "@openai/codex@0.169.0-linux-$cpu" \
			"codex=@openai/codex/vendor/$codex_target/bin/codex" \
			"rg=@openai/codex/vendor/$codex_target/codex-path/rg"
		;;
	gemini)
		install gemini 0.61.0 "@google/gemini-cli@0.61.0" \
			"gemini=@google/gemini-cli/bundle/gemini.js"
		;;
	*)
		echo "install-agents: no agent is called $1" >&2
		exit 1
		;;
	esac
}

if [ $# -eq 0 ]; then
	set -- claude-code opencode codex gemini
fi
for name in "$@"; do
	agent "$name"
done
