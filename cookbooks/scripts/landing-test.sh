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

. "$(dirname "$0")/cookbook.sh"

title="Made by hand, changed by rdev"
tell="npm_config_registry NODE_EXTRA_CA_CERTS" # to npm

run() {
	step "the project, from the template astro-landing"
	project "$1" astro-landing

	step "its packages, its tests"
	told -- npm ci --no-audit --no-fund
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
	serve / -- sh -c 'exec npx astro preview --ignore-lock --host 127.0.0.1 --port "$PORT"'
	case $page in
	*"$title"*) echo "$url says: $title" ;;
	*) unserved "$url does not say: $title" ;;
	esac

	step "nothing differs from what the project is to have"
	"$rdev" projects drift "$name"
}

cookbook "$@"
