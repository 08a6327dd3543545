#!/bin/sh
# Builds rdev's images with docker, podman or buildah.
#
#   scripts/images.sh                           all of them
#   scripts/images.sh gateway claudebox-codex   these
#   scripts/images.sh pin                       asks the registry which base images to build on
#
# ENGINE    docker, podman or buildah; the first that is there
# REGISTRY  what the names begin with (localhost/rdev)
# VERSION   what their tags are (git describe)
# PUSH      push what was built, and print it with its digest, where this is not empty
set -eu
cd "$(dirname "$0")/.."

docker=deployments/docker
lock=$docker/base.lock
REGISTRY=${REGISTRY:-localhost/rdev}
VERSION=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo devel)}

say() { echo "images: $*" >&2; }

if [ -z "${ENGINE:-}" ]; then
	for ENGINE in docker podman buildah ""; do
		if [ -n "$ENGINE" ] && command -v "$ENGINE" >/dev/null; then break; fi
	done
fi
if [ -z "$ENGINE" ]; then
	say "docker, podman or buildah is missing; the tests make the images without: libs/testcluster/image"
	exit 2
fi

# digest IMAGE prints the name by which anybody gets the same image.
digest() {
	case "$ENGINE" in
	buildah) "$ENGINE" inspect --type image --format '{{.FromImage}}@{{.FromImageDigest}}' "$1" | sed 's|:[^/@]*@|@|' ;;
	*) "$ENGINE" image inspect --format '{{index .RepoDigests 0}}' "$1" ;;
	esac
}

pin() {
	{
		echo "# The base images, as scripts/images.sh pin found them."
		for base in GO_IMAGE=golang:1.26-trixie NODE_IMAGE=node:22-trixie-slim DEBIAN_IMAGE=debian:trixie-slim; do
			image=docker.io/library/${base#*=}
			"$ENGINE" pull --quiet "$image" >/dev/null
			echo "${base%%=*}=$(digest "$image")"
		done
	} >"$lock.new"
	mv "$lock.new" "$lock"
	cat "$lock"
}

# build TAG DOCKERFILE ARGUMENT... builds one image.
build() {
	image=$REGISTRY/$1 file=$docker/$2
	shift 2
	say "building $image"
	# Only what the Dockerfile knows: an engine warns of others. No value holds spaces.
	# shellcheck disable=SC2046
	set -- "$@" "VERSION=$VERSION" $(grep -v '^#' "$lock")
	for argument in "$@"; do
		shift
		if grep -q "^ARG ${argument%%=*}" "$file"; then set -- "$@" --build-arg "$argument"; fi
	done
	DOCKER_BUILDKIT=1 "$ENGINE" build --file "$file" --tag "$image" "$@" .
	if [ -n "${PUSH:-}" ]; then
		"$ENGINE" push "$image"
		digest "$image"
	fi
}

one() {
	case "$1" in
	gateway | provisioner | executor | audit | notifier) build "$1:$VERSION" Dockerfile.service "SERVICE=$1" ;;
	claudebox-claude-code | claudebox-opencode | claudebox-codex | claudebox-gemini)
		build "claudebox:$VERSION-${1#claudebox-}" Dockerfile.claudebox "AGENT=${1#claudebox-}"
		;;
	*)
		say "no image is called $1"
		exit 2
		;;
	esac
}

if [ "$*" = pin ]; then
	pin
	exit
fi
if [ ! -f "$lock" ]; then
	say "$lock is missing: run scripts/images.sh pin, and commit what it writes"
	exit 2
fi
if [ $# -eq 0 ]; then
	set -- gateway provisioner executor audit notifier \
		claudebox-claude-code claudebox-opencode claudebox-codex claudebox-gemini
fi
for name in "$@"; do
	one "$name"
done
