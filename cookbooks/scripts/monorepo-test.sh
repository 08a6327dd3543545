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

. "$(dirname "$0")/cookbook.sh"

tell="GOPROXY GONOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOFLAGS CGO_ENABLED" # to Go

run() {
	step "the project, from the template monorepo, with a database and a cache"
	project "$1" monorepo --component service:api --component worker:mail --database --cache

	step "its own check"
	told -- sh scripts/check.sh

	step "a component, added later"
	if ! "$rdev" components list "$name" -o json | jq -e 'any(.name == "ctl")' >/dev/null; then
		"$rdev" components add "$name" cli:ctl
	fi
	"$rdev" run -p "$name" --git pull
	told -- sh scripts/check.sh cli/ctl

	step "a change: the service counts visits, in the database and in the cache"
	change | "$rdev" run -p "$name" --workdir services/api --script-file -
	told --workdir services/api -- go get . github.com/jackc/pgx/v5@v5.12.0 github.com/redis/go-redis/v9@v9.23.0
	told -- sh scripts/check.sh services/api

	step "committed and pushed"
	"$rdev" run -p "$name" --git commit --message "The service counts visits"
	"$rdev" run -p "$name" --git push

	step "the service, served and looked at"
	serve /health --credential DATABASE_URL --credential REDIS_URL -- bin/api
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

cookbook "$@"
