#!/bin/sh
# Loads the credentials of a .secrets file into rdev's vault.
#
# No value leaves this shell but over a pipe: not in the arguments of a process,
# not in an environment, and not in a trace, whatever the caller has switched on.
{ set +xva; } 2>/dev/null
set -eu
# A name that the caller exports would be exported again with what it is set to.
unset line rest name value head kept
export LC_ALL=C

usage() {
	cat <<'USAGE'
Usage: scripts/load-credentials.sh [options] FILE

Sets each NAME=value of FILE as a credential, with `rdev credentials set`, which
has to be in PATH. The whole file is read first: where a line cannot be read,
nothing is set. Running it again sets the values again.

  --project P    of the project P; of the installation without
  --for PATTERN  of the installation, for the projects of that slug or pattern
                 (repeatable)
  --dry-run      only say which names there are
  --force        also where others than the owner may read FILE
  -h, --help     this text

A line is NAME=value, `export NAME=value`, a comment (#), or blank. A value is
  'as it is'     up to the next quote
  "escaped"      with \" \\ \$ \n \r \t
  or plain       up to the end of the line, or to a # with a space before it,
                 without the spaces around it
and is one line of the file. Nothing is expanded: $ is a $.
USAGE
}

refuse() {
	printf 'load-credentials: %s\n' "$*" >&2
	exit 2
}

# wrong refuses a line. It repeats nothing of it, which may be part of a secret.
wrong() { refuse "$file, line $number: $*; nothing was set"; }

tab=$(printf '\t')
return=$(printf '\r')
newline='
'

# trim takes the white space off the beginning and the end of rest.
trim() {
	while :; do
		case $rest in
		[" $tab"]*) rest=${rest#?} ;;
		*[" $tab"]) rest=${rest%?} ;;
		*) return 0 ;;
		esac
	done
}

# readLine sets name and value to those of line; name is empty where it has none.
readLine() {
	name="" value="" rest=${line%"$return"}
	trim
	case $rest in
	"" | "#"*) return 0 ;;
	"export "* | "export$tab"*) rest=${rest#export} ;;
	esac
	case $rest in *=*) ;; *) wrong "there is no NAME=value" ;; esac
	value=${rest#*=} rest=${rest%%=*}
	trim
	name=$rest rest=$value
	case $name in "" | [0-9]* | *[!A-Z0-9_]*) wrong "what is before = is not a name of A-Z, 0-9 and _" ;; esac
	trim
	case $rest in
	"'"*) singleQuoted ;;
	'"'*) doubleQuoted ;;
	'`'*) wrong "the value begins with a backquote; put it in single quotes" ;;
	*) plain ;;
	esac
	[ -n "$value" ] || wrong "$name has no value"
}

singleQuoted() {
	rest=${rest#"'"}
	case $rest in *"'"*) ;; *) wrong "the quote of $name is not closed" ;; esac
	value=${rest%%"'"*} rest=${rest#*"'"}
	ending
}

doubleQuoted() {
	value="" rest=${rest#'"'}
	while :; do
		head=${rest%%[\"\\]*}
		value=$value$head rest=${rest#"$head"}
		case $rest in
		"") wrong "the quote of $name is not closed" ;;
		'"'*) break ;;
		'\n'*) value=$value$newline ;;
		'\r'*) value=$value$return ;;
		'\t'*) value=$value$tab ;;
		'\"'*) value=$value'"' ;;
		'\\'*) value=$value'\' ;;
		'\$'*) value=$value'$' ;;
		*) wrong "$name has a \\ in double quotes that is none of \\\" \\\\ \\\$ \\n \\r \\t; single quotes keep it" ;;
		esac
		rest=${rest#??}
	done
	rest=${rest#'"'}
	ending
}

# ending wants nothing but a comment behind a quote.
ending() {
	case $rest in
	"" | [" $tab"]*) ;;
	*) wrong "something follows the quote of $name" ;;
	esac
	trim
	case $rest in "" | "#"*) ;; *) wrong "something follows the quote of $name" ;; esac
}

plain() {
	case $rest in "#"*) rest="" ;; esac
	rest=${rest%%[" $tab"]"#"*}
	trim
	value=$rest
}

# each calls a command for every credential of the file, in order.
each() {
	number=0
	while IFS= read -r line || [ -n "$line" ]; do
		number=$((number + 1))
		readLine
		[ -z "$name" ] || "$@"
	done <"$file"
}

# note keeps the names, and where they are.
note() {
	case $names in
	*" $name:"*)
		kept=${names#*" $name:"}
		wrong "$name is there already, in line ${kept%% *}"
		;;
	esac
	names="$names$name:$number "
}

tell() { echo "would load $name$whose"; }

# load hands over a value with a newline behind it, which rdev drops. What rdev
# says of it goes to stderr only where it went wrong.
load() {
	if ! printf '%s\n' "$value" | rdev credentials set "$name" "$@" >/dev/null; then
		echo "load-credentials: $name (line $number) was not set; set before it: $count" >&2
		exit 1
	fi
	count=$((count + 1))
	echo "loaded $name$whose"
}

file="" force="" dry="" whose="" names=" " count=0
# The options for rdev come behind those that are still to be read.
left=$#
while [ "$left" -gt 0 ]; do
	option=$1
	shift
	left=$((left - 1))
	case $option in
	--project | --for)
		[ "$left" -gt 0 ] || refuse "$option wants a value"
		if [ "$option" = --project ]; then whose=" of project $1"; fi
		set -- "$@" "$option=$1"
		shift
		left=$((left - 1))
		;;
	--project=* | --for=*)
		case $option in --project=*) whose=" of project ${option#*=}" ;; esac
		set -- "$@" "$option"
		;;
	--dry-run) dry=1 ;;
	--force) force=1 ;;
	-h | --help)
		usage
		exit 0
		;;
	-*) refuse "there is no option $option; see --help" ;;
	*)
		[ -z "$file" ] || refuse "one FILE at a time"
		file=$option
		;;
	esac
done
[ -n "$file" ] || refuse "which FILE? See --help"
case $file in /*) ;; *) file=./$file ;; esac
[ -f "$file" ] || refuse "$file is not a file"
[ -r "$file" ] || refuse "$file cannot be read"
if [ -z "$force" ] && [ -n "$(find -H "$file" -prune \( -perm -040 -o -perm -004 \))" ]; then
	refuse "others than its owner may read $file: chmod 600 it, and think of its values as known; or --force"
fi
[ "$(command -v printf)" = printf ] || refuse "this sh has no printf of its own: values would be among the arguments of a process"
[ "$(tr -d '\000' <"$file" | wc -c)" -eq "$(wc -c <"$file")" ] || refuse "$file has zero bytes: it is not text"

each note
[ "$names" != " " ] || refuse "$file has no credentials"
if [ -n "$dry" ]; then
	each tell
	exit 0
fi
command -v rdev >/dev/null || refuse "rdev is not in PATH"
each load "$@"
