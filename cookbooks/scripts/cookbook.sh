# What the scripts of cookbooks have in common: they read it with ".", have a function run, and
# end with cookbook "$@".

rdev=${RDEV:-rdev}

usage() {
	sed -n '/^#   /s/^# *//p' "$0" >&2
	exit 2
}

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

step() { printf '\n== %s\n' "$*"; }

there() {
	if said=$("$rdev" projects get "$1" 2>&1); then return 0; fi
	case $said in
	*NOT_FOUND*) return 1 ;;
	*) fail "$said" ;;
	esac
}

# project makes a project of a template, where it is not there, and clones its repository:
# project NAME TEMPLATE [flags of rdev projects create].
project() {
	name=$1 template=$2
	shift 2
	if there "$name"; then
		echo "it is there already"
	else
		"$rdev" projects plan "$name" --template "$template" "$@"
		"$rdev" projects create "$name" --template "$template" "$@"
	fi
	of=$("$rdev" projects get "$name" -o json | jq -r .template)
	[ "$of" = "$template" ] || fail "the project $name is there, and of the template $of: give another name"
	if ! "$rdev" run -p "$name" -- test -d .git; then
		"$rdev" run -p "$name" --git clone
	fi
}

# told runs a command in the project, with the variables of $tell as they are set here:
# told [flags of rdev run] -- COMMAND.
told() {
	for variable in $tell; do
		if value=$(printenv "$variable"); then set -- -e "$variable=$value" "$@"; fi
	done
	"$rdev" run -p "$name" "$@"
}

# serve has a command run that serves the project's domain until the script ends, and waits
# for an answer at a path, which it leaves in $page: serve PATH [flags of rdev run] -- COMMAND.
serve() {
	url=$("$rdev" domains list "$name" -o json | jq -r '.[0].url // empty')
	[ -n "$url" ] || fail "the installation has no domain: there is nothing to look at"
	path=$1
	shift
	server=$("$rdev" run -p "$name" --detach "$@")
	trap '"$rdev" ops cancel --wait "$server" >/dev/null 2>&1 || true' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	tries=0
	until page=$(curl -fsS "$url$path" 2>/dev/null); do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || unserved "nothing answers at $url: above is what the server said"
		sleep 1
	done
}

# unserved ends the run, with what the server said.
unserved() {
	"$rdev" ops cancel --wait "$server" >/dev/null 2>&1 || true
	"$rdev" ops output "$server" >&2 || true
	fail "$*"
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

cookbook() {
	[ $# -eq 2 ] || usage
	case $1 in
	run | status | teardown) ;;
	*) usage ;;
	esac
	for program in "$rdev" curl jq; do
		command -v "$program" >/dev/null || fail "$program is missing: install it, or put it on the PATH"
	done
	"$1" "$2"
}
