#!/bin/sh
# The steps of monorepo.md: a monorepo with a database and a cache is made, tested, added to,
# changed, served and looked at.
#
#   monorepo-test.sh run NAME        makes what is not there yet, and does all steps
#   monorepo-test.sh status NAME     shows the project, and whether it is as it is to be
#   monorepo-test.sh teardown NAME   deletes the project and all that is its own
#
# It needs rdev ($RDEV, or on the PATH), curl and jq here, and Go 1.26 or later where the
# project's commands run.
set -eu

rdev=${RDEV:-rdev}

usage() {
	sed -n '5,7s/^# *//p' "$0" >&2
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
	step "the project, from the template monorepo, with a database and a cache"
	if there "$name"; then
		echo "it is there already"
	else
		set -- "$name" --template monorepo --component service:api --component worker:mail --database --cache
		"$rdev" projects plan "$@"
		"$rdev" projects create "$@"
	fi
	template=$("$rdev" projects get "$name" -o json | jq -r .template)
	[ "$template" = monorepo ] || fail "the project $name is there, and of the template $template: give another name"
	if ! "$rdev" run -p "$name" -- test -d .git; then
		"$rdev" run -p "$name" --git clone
	fi

	step "its own check"
	set -- -p "$name"
	for variable in GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOFLAGS CGO_ENABLED; do # what Go is told here it is told there
		if value=$(printenv "$variable"); then set -- "$@" -e "$variable=$value"; fi
	done
	"$rdev" run "$@" -- sh scripts/check.sh

	step "a component, added later"
	if ! "$rdev" components list "$name" -o json | jq -e 'any(.name == "ctl")' >/dev/null; then
		"$rdev" components add "$name" cli:ctl
	fi
	"$rdev" run -p "$name" --git pull
	"$rdev" run "$@" -- sh scripts/check.sh cli/ctl

	step "a change: the service counts visits, in the database and in the cache"
	change | "$rdev" run -p "$name" --workdir services/api --script-file -
	"$rdev" run "$@" --workdir services/api -- go get . github.com/jackc/pgx/v5@v5.12.0 github.com/redis/go-redis/v9@v9.23.0
	"$rdev" run "$@" -- sh scripts/check.sh services/api

	step "committed and pushed"
	"$rdev" run -p "$name" --git commit --message "The service counts visits"
	"$rdev" run -p "$name" --git push

	step "the service, served and looked at"
	url=$("$rdev" domains list "$name" -o json | jq -r '.[0].url // empty')
	[ -n "$url" ] || fail "the installation has no domain: there is nothing to look at"
	server=$("$rdev" run -p "$name" --detach --credential DATABASE_URL --credential REDIS_URL -- bin/api)
	trap '"$rdev" ops cancel --wait "$server" >/dev/null 2>&1 || true' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	tries=0
	until curl -fsS -o /dev/null "$url/health" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || unserved "nothing answers at $url: above is what the server said"
		sleep 1
	done
	before=$(visit) && after=$(visit) || unserved "$url/visits gives no answer: above is what the server said"
	if ! printf '%s\n' "$before" "$after" | jq -es '.[1].rows == .[0].rows + 1 and .[1].cached == .[0].cached + 1' >/dev/null; then
		unserved "two visits are $before and $after: above is what the server said"
	fi
	echo "$url/visits says: $after"

	step "nothing differs from what the project is to have"
	"$rdev" projects drift "$name"
}

visit() { curl -fsS -X POST "$url/visits"; }

# change is the script that changes the service, in its directory: a handler, its test, and
# its route.
change() {
	cat <<'END'
set -eu
cat >visits.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// visits is how many there were: rows in the database, and a count in the cache.
type visits struct {
	Rows   int64 `json:"rows"`
	Cached int64 `json:"cached"`
}

// postVisit counts a visit.
func postVisit(w http.ResponseWriter, r *http.Request) {
	seen, err := visit(r.Context(), os.Getenv("DATABASE_URL"), os.Getenv("REDIS_URL"))
	if err != nil {
		slog.Error("a visit was not counted", "error", err)
		http.Error(w, "the visit was not counted", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen)
}

func visit(ctx context.Context, databaseURL, cacheURL string) (seen visits, err error) {
	if databaseURL == "" || cacheURL == "" {
		return seen, errors.New("DATABASE_URL or REDIS_URL is not set")
	}
	database, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return seen, err
	}
	defer func() { err = errors.Join(err, database.Close(ctx)) }()
	if _, err := database.Exec(ctx, `create table if not exists visits (at timestamptz not null default now())`); err != nil {
		return seen, err
	}
	if _, err := database.Exec(ctx, `insert into visits default values`); err != nil {
		return seen, err
	}
	if err := database.QueryRow(ctx, `select count(*) from visits`).Scan(&seen.Rows); err != nil {
		return seen, err
	}
	options, err := redis.ParseURL(cacheURL)
	if err != nil {
		return seen, errors.New("REDIS_URL is no address of a Redis") // the error has the password in it
	}
	cache := redis.NewClient(options)
	defer func() { err = errors.Join(err, cache.Close()) }()
	seen.Cached, err = cache.Incr(ctx, options.Username+":visits").Result() // all keys begin with the user's name
	return seen, err
}
GO
cat >visits_test.go <<'GO'
package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAVisitThatIsNotCountedIsNoVisit(t *testing.T) {
	t.Setenv("DATABASE_URL", "")
	w := httptest.NewRecorder()
	routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/visits", http.NoBody))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
GO
if ! grep -q '"POST /visits"' routes.go; then
	awk '{ print } /"GET \/health"/ { print "\tmux.HandleFunc(\"POST /visits\", postVisit)" }' routes.go >routes.go.new
	mv routes.go.new routes.go
fi
END
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
