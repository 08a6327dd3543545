#!/bin/sh
# The steps of landing-page.md: a landing page is made, tested, changed, built and looked at.
#
#   landing-test.sh run NAME        makes what is not there yet, and does all steps
#   landing-test.sh status NAME     shows the project, and whether it is as it is to be
#   landing-test.sh teardown NAME   deletes the project and all that is its own
#
# It needs rdev ($RDEV, or on the PATH), curl and jq here, and Node.js 22.12 or later where
# the project's commands run.
set -eu

rdev=${RDEV:-rdev}
title="Made by hand, changed by rdev"

usage() {
	sed -n '4,6s/^# *//p' "$0" >&2
	exit 2
}

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# unserved ends the run, with what the server said.
unserved() {
	"$rdev" ops cancel --wait "$server" >/dev/null 2>&1 || true
	"$rdev" ops output "$server" >&2 || true
	fail "$*"
}

step() { printf '\n== %s\n' "$*"; }

there() {
	if said=$("$rdev" projects get "$1" 2>&1); then return 0; fi
	case $said in
	*NOT_FOUND*) return 1 ;;
	*) fail "$said" ;;
	esac
}

run() {
	name=$1
	step "the project, from the template astro-landing"
	if there "$name"; then
		echo "it is there already"
	else
		"$rdev" projects plan "$name" --template astro-landing
		"$rdev" projects create "$name" --template astro-landing
	fi
	template=$("$rdev" projects get "$name" -o json | jq -r .template)
	[ "$template" = astro-landing ] || fail "the project $name is there, and of the template $template: give another name"
	if ! "$rdev" run -p "$name" -- test -d .git; then
		"$rdev" run -p "$name" --git clone
	fi

	step "its packages, its tests"
	set -- -p "$name"
	for variable in npm_config_registry NODE_EXTRA_CA_CERTS; do # what npm is told here it is told there
		if value=$(printenv "$variable"); then set -- "$@" -e "$variable=$value"; fi
	done
	"$rdev" run "$@" -- npm ci --no-audit --no-fund
	"$rdev" run -p "$name" -- npm test

	step "a change, committed and pushed"
	"$rdev" run -p "$name" --env TITLE="$title" -- node -e '
		const fs = require("fs"), file = "src/site.json", site = JSON.parse(fs.readFileSync(file));
		site.title = process.env.TITLE;
		fs.writeFileSync(file, JSON.stringify(site, null, 2) + "\n");'
	"$rdev" run -p "$name" --git commit --message "Another title"
	"$rdev" run -p "$name" --git push

	step "the page, built"
	"$rdev" run -p "$name" -- npm run build

	step "the page, served and looked at"
	url=$("$rdev" domains list "$name" -o json | jq -r '.[0].url // empty')
	[ -n "$url" ] || fail "the installation has no domain: there is nothing to look at"
	server=$("$rdev" run -p "$name" --detach -- sh -c 'exec npx astro preview --ignore-lock --host 127.0.0.1 --port "$PORT"')
	trap '"$rdev" ops cancel --wait "$server" >/dev/null 2>&1 || true' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	tries=0
	until page=$(curl -fsS "$url/" 2>/dev/null); do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || unserved "nothing answers at $url: above is what the server said"
		sleep 1
	done
	case $page in
	*"$title"*) echo "$url says: $title" ;;
	*) unserved "$url does not say: $title" ;;
	esac

	step "nothing differs from what the project is to have"
	"$rdev" projects drift "$name"
}

status() {
	"$rdev" projects get "$1"
	"$rdev" projects drift "$1"
	"$rdev" ops list --project "$1" --limit 5
}

teardown() {
	if there "$1"; then
		"$rdev" projects delete "$1" --yes
	else
		echo "there is no project $1"
	fi
}

[ $# -eq 2 ] || usage
case $1 in
run | status | teardown) ;;
*) usage ;;
esac
for program in "$rdev" curl jq; do
	command -v "$program" >/dev/null || fail "$program is missing: install it, or put it on the PATH"
done
"$1" "$2"
