#!/bin/sh
# Builds the Gitea that the tests of the forge run, once for a libs/tools/gitea/go.sum and a Go
# version, into ${XDG_CACHE_HOME:-$HOME/.cache}/rdev/gitea-<key>, and prints that directory: it
# has gitea, and static with the files that Gitea reads. The first build takes minutes.
set -eu
cd "$(dirname "$0")/../libs/tools/gitea"
export GOWORK=off GOEXPERIMENT=jsonv2 CGO_ENABLED=1 CGO_CFLAGS="-O2 -DSQLITE_MAX_VARIABLE_NUMBER=32766"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/rdev"
dir="$cache/gitea-$(cat go.mod go.sum | sha256sum | cut -c1-16)-$(go env GOVERSION)"
mkdir -p "$cache"
# Whoever else wants it waits until it is there.
exec 9> "$dir.lock"
if command -v flock > /dev/null; then flock 9; fi
if [ -d "$dir" ]; then
	echo "$dir"
	exit
fi
command -v "${CC:-gcc}" > /dev/null || {
	echo "gitea: a C compiler is missing, which its SQLite needs: apt-get install gcc libc6-dev" >&2
	exit 1
}
echo "building the Gitea of the tests, once (about four minutes on two cores)" >&2
rm -rf "$dir".partial-*
partial=$(mktemp -d "$dir.partial-XXXXXX")
trap 'rm -rf "$partial"' EXIT
# Clients ask it for its version, and leave out what it would not have.
version=$(go list -m -f '{{.Version}}' code.gitea.io/gitea)
nice -n 5 go build -trimpath -tags "sqlite sqlite_unlock_notify" \
	-ldflags "-s -w -X main.Version=${version#v}" -o "$partial/gitea" code.gitea.io/gitea >&2
source=$(go list -m -f '{{.Dir}}' code.gitea.io/gitea)
mkdir "$partial/static"
cp -r "$source/options" "$source/templates" "$source/public" "$partial/static/"
chmod -R u+w "$partial/static"
chmod 755 "$partial"
mv "$partial" "$dir"
trap - EXIT
echo "$dir"
