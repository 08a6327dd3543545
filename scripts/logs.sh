#!/usr/bin/env bash
# Shows the logs of an installation of rdev.
set -euo pipefail

usage() {
	cat <<'USAGE'
Usage: scripts/logs.sh [options] [SERVICE]

The logs of all services of the installation in the cluster of kubectl's current
context, or of one: gateway, provisioner, executor, audit, notifier, migrate,
nats, postgres. One line for each: time, level, service, pod, message, the rest.

  --up            of the `rdev up` of this machine, in RDEV_HOME (~/.rdev)
  --since D       only what is not older than 90s, 10m, 2h
  --operation ID  only the lines that name the operation
  -f, --follow    go on with what comes
  --json          the lines as the services wrote them; so they are without jq
  -h, --help      this text

NAMESPACE  where the services are in the cluster (rdev)
USAGE
}

refuse() {
	echo "logs: $*" >&2
	exit 2
}

NAMESPACE=${NAMESPACE:-rdev}
home=${RDEV_HOME:-$HOME/.rdev}
up="" since="" operation="" follow="" json="" service=""

while [ $# -gt 0 ]; do
	case "$1" in
	--up) up=1 ;;
	-f | --follow) follow=1 ;;
	--json) json=1 ;;
	--since | --operation)
		[ $# -ge 2 ] || refuse "$1 wants a value"
		if [ "$1" = --since ]; then since=$2; else operation=$2; fi
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	gateway | provisioner | executor | audit | notifier | migrate | nats | postgres)
		[ -z "$service" ] || refuse "one service, or all"
		service=$1
		;;
	*) refuse "there is neither a service nor an option $1; see --help" ;;
	esac
	shift
done
[[ -z "$since" || "$since" =~ ^([1-9][0-9]*)([smh])$ ]] || refuse "--since $since is not like 90s, 10m or 2h"
[[ "$operation" =~ ^[A-Za-z0-9-]*$ ]] || refuse "$operation is not the id of an operation"
command -v jq >/dev/null || json=1

# ofCluster prints the lines of the pods. Where people read them each begins with
# its pod and its time, and all are in order unless they are followed.
ofCluster() {
	local selector=app.kubernetes.io/part-of=rdev arguments=(--all-containers --tail=-1 --max-log-requests=100)
	command -v kubectl >/dev/null || refuse "kubectl is missing; --up is for the rdev of this machine"
	if [ -n "$service" ]; then selector=app.kubernetes.io/name=$service; fi
	if [ -n "$since" ]; then arguments+=("--since=$since"); fi
	if [ -n "$follow" ]; then arguments+=(--follow); fi
	if [ -n "$json" ]; then
		kubectl --namespace "$NAMESPACE" logs --selector "$selector" "${arguments[@]}"
	elif [ -n "$follow" ]; then
		kubectl --namespace "$NAMESPACE" logs --selector "$selector" "${arguments[@]}" --prefix --timestamps
	else
		kubectl --namespace "$NAMESPACE" logs --selector "$selector" "${arguments[@]}" --prefix --timestamps | sort --stable --key 2,2
	fi
}

# ofUp prints the lines of rdev up, whose times are UTC.
ofUp() {
	local file=$home/rdev.log after="" seconds
	if [ "$service" = postgres ]; then file=$home/postgres/postgres.log; fi
	[ -f "$file" ] || refuse "$file is missing: rdev has not been up with this RDEV_HOME"
	if [ -n "$since" ]; then
		case "$since" in
		*h) seconds=$((${since%h} * 3600)) ;;
		*m) seconds=$((${since%m} * 60)) ;;
		*) seconds=${since%s} ;;
		esac
		after=$(date -u -d "@$(($(date +%s) - seconds))" +%FT%T)
	fi
	if [ -n "$follow" ]; then tail --lines +1 --follow=name "$file"; else cat "$file"; fi | {
		if [ "$service" = postgres ]; then
			cat
		else
			awk -v after="$after" -v name="${service:+\"service\":\"$service\"}" \
				'substr($0, 10, 19) >= after && index($0, name) { print; fflush() }'
		fi
	}
}

named() {
	if [ -n "$operation" ]; then grep --line-buffered --fixed-strings -- "$operation" || true; else cat; fi
}

# pretty turns a line of JSON into one for people, and leaves others as they are.
pretty() {
	if [ -n "$json" ]; then
		cat
		return
	fi
	jq --raw-input --raw-output --unbuffered '
		capture("^(\\[pod/(?<pod>[^/]+)/[^\\]]+\\] (?<at>[^ ]+) )?(?<text>.*)$") as $line
		| ($line.text | try fromjson catch null) as $log
		| [$line.pod // empty] as $pod
		| if ($log | type) == "object" then
			[$log.time[0:23], ($log.level + "     ")[0:5], $log.service // empty] + $pod + [$log.msg]
			+ ($log | del(.time, .level, .service, .msg) | to_entries | map("\(.key)=\(.value | if type == "string" then . else tojson end)"))
		  else
			[($line.at // empty)[0:23]] + $pod + [$line.text]
		  end
		| join(" ")'
}

if [ -n "$up" ]; then ofUp; else ofCluster; fi | named | pretty
