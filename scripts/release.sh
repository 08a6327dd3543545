#!/usr/bin/env bash
# Releases rdev from main: changelog, commit, binaries, images, tag.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

usage() {
	cat <<'USAGE'
Usage: scripts/release.sh [options] X.Y.Z | major | minor | patch

Releases what is on main: moves the part Unreleased of CHANGELOG.md under the
version, commits that, builds the binaries into dist/, the images where there is
an engine for them, and makes the tag vX.Y.Z. The services run on Linux; for
other systems rdev is built alone, as a client. Whatever fails ends the release,
and says how to go back.

  --push            push main and the tag to origin, and the images to REGISTRY
  --deploy OVERLAY  then deploy to the cluster of kubectl's current context: an
                    overlay in deployments/kubernetes/overlays, or the path of one
  --dry-run         check everything, and say what would be done
  -h, --help        this text

TARGETS    what the binaries are for (linux/amd64 linux/arm64 darwin/amd64 darwin/arm64)
REGISTRY   what the names of the images begin with (localhost/rdev)
ENGINE     docker, podman or buildah; none for no images; the first that is there
NAMESPACE  where --deploy finds the services (rdev)
USAGE
}

TARGETS=${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}
NAMESPACE=${NAMESPACE:-rdev}
services=(gateway provisioner executor audit notifier)
dist=dist

say() { echo "release: $*" >&2; }

# refuse MESSAGE ends a release that has not begun.
refuse() {
	say "$*"
	exit 2
}

# How to undo what was done so far, the last first.
undo=()
doing=""

failed() {
	local code=$?
	trap - EXIT
	if [ "$code" -eq 0 ] || [ -z "$doing" ]; then exit "$code"; fi
	say "failed: $doing"
	if [ ${#undo[@]} -gt 0 ]; then
		say "to go back:"
		for ((i = ${#undo[@]} - 1; i >= 0; i--)); do echo "  ${undo[i]}" >&2; done
	else
		say "nothing was changed"
	fi
	exit 1
}
trap failed EXIT
trap 'exit 130' INT TERM

step() {
	doing=$*
	say "$*"
}

# run does what it is told, or says so.
run() {
	if [ -n "$dry" ]; then
		echo "  would run: $*" >&2
	else
		"$@"
	fi
}

push="" deploy="" dry="" wanted=""
while [ $# -gt 0 ]; do
	case "$1" in
	--push) push=1 ;;
	--deploy)
		[ $# -ge 2 ] || refuse "--deploy wants the name of an overlay"
		deploy=$2
		shift
		;;
	--dry-run) dry=1 ;;
	-h | --help)
		usage
		exit 0
		;;
	-*) refuse "there is no option $1; see --help" ;;
	*)
		[ -z "$wanted" ] || refuse "one version, not $wanted and $1"
		wanted=$1
		;;
	esac
	shift
done
if [ -z "$wanted" ]; then
	usage >&2
	exit 2
fi

# newest prints the version of the last release, 0.0.0 before the first.
newest() {
	git tag --list 'v[0-9]*' --sort=-version:refname | sed -nE 's/^v([0-9]+\.[0-9]+\.[0-9]+)$/\1/p' | sed -n 1p | grep . || echo 0.0.0
}

# next WANTED prints the version that is meant.
next() {
	local major minor patch last
	last=$(newest)
	IFS=. read -r major minor patch <<<"$last"
	case "$1" in
	major) echo "$((major + 1)).0.0" ;;
	minor) echo "$major.$((minor + 1)).0" ;;
	patch) echo "$major.$minor.$((patch + 1))" ;;
	*)
		[[ "$1" =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]] || refuse "$1 is neither X.Y.Z nor major, minor or patch"
		if [ "$(printf '%s\n' "$1" "$last" | sort -V | tail -n 1)" = "$last" ]; then refuse "$1 does not come after $last"; fi
		echo "$1"
		;;
	esac
}

# unreleased prints what CHANGELOG.md says of this release.
unreleased() { awk '/^## /{ inside = ($0 == "## Unreleased"); next } inside' CHANGELOG.md; }

for tool in git go tar sha256sum; do
	command -v "$tool" >/dev/null || refuse "$tool is missing"
done
branch=$(git symbolic-ref --quiet --short HEAD || echo "no branch")
[ "$branch" = main ] || refuse "this is $branch: a release is made from main"
[ -z "$(git status --porcelain)" ] || refuse "there are changes that are not committed; git status shows them"
version=$(next "$wanted")
tag=v$version
if git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null; then refuse "$tag is there already"; fi
unreleased | grep -q '^[^#]*[^#[:space:]]' || refuse "CHANGELOG.md has nothing under ## Unreleased"
overlay="" context=""
if [ -n "$deploy" ]; then
	command -v kubectl >/dev/null || refuse "kubectl is missing, for --deploy"
	overlay=$deploy
	[ -d "$overlay" ] || overlay=deployments/kubernetes/overlays/$deploy
	[ -f "$overlay/kustomization.yaml" ] || refuse "there is no overlay $deploy"
	context=$(kubectl config current-context) || refuse "kubectl has no current context, for --deploy"
fi
if [ -n "$push" ]; then
	git remote get-url origin >/dev/null 2>&1 || refuse "there is no remote origin, for --push"
fi
engine=${ENGINE:-}
if [ -z "$engine" ]; then
	for engine in docker podman buildah none; do
		if command -v "$engine" >/dev/null; then break; fi
	done
fi
if [ "$engine" != none ] && [ ! -f deployments/docker/base.lock ]; then
	refuse "deployments/docker/base.lock is missing, for the images: run scripts/images.sh pin and commit it, or set ENGINE=none"
fi
before=$(git rev-parse HEAD)
say "$tag, after $(newest), from ${before:0:12}"

step "changelog"
if [ -n "$dry" ]; then
	say "would move this under ## $version - $(date -u +%F):"
	unreleased >&2
else
	undo+=("git checkout -- CHANGELOG.md && rm -f CHANGELOG.md.new")
	awk -v heading="## $version - $(date -u +%F)" '{ print } $0 == "## Unreleased" { print ""; print heading }' CHANGELOG.md >CHANGELOG.md.new
	mv CHANGELOG.md.new CHANGELOG.md
fi

step "commit"
run git commit --quiet --message "Release $tag" -- CHANGELOG.md
undo=("git reset --hard $before")

# build OS/ARCH builds the programs for one platform, and packs them. The services
# run on Linux only: elsewhere rdev is a client.
build() {
	local name=rdev_${tag}_${1/\//_} programs=(./cmd/rdev)
	if [ "${1%/*}" = linux ]; then programs+=(./services/*/cmd/*); fi
	rm -rf "${dist:?}/$name"
	GOOS=${1%/*} GOARCH=${1#*/} CGO_ENABLED=0 go build -trimpath -buildvcs=true \
		-ldflags "-s -w -X github.com/orchard9/rdev/libs/service.version=$tag" -o "$dist/$name/" "${programs[@]}"
	tar --create --gzip --file "$dist/$name.tar.gz" --owner 0 --group 0 --numeric-owner --directory "$dist" "$name"
}

step "binaries"
undo+=("rm -rf $dist")
if [ -z "$dry" ]; then
	rm -rf "$dist"
	mkdir -p "$dist"
	echo '*' >"$dist/.gitignore"
fi
for target in $TARGETS; do
	say "binaries for $target"
	run build "$target"
done
if [ -z "$dry" ]; then
	(cd "$dist" && sha256sum -- *.tar.gz >SHA256SUMS)
	own=$dist/rdev_${tag}_$(go env GOHOSTOS)_$(go env GOHOSTARCH)/rdev
	if [ -x "$own" ] && ! "$own" version | grep -q "^rdev $tag "; then
		say "$own says that it is $("$own" version)"
		exit 1
	fi
fi

step "images"
if [ "$engine" = none ]; then
	say "no images: there is no engine for them"
else
	run env ENGINE="$engine" VERSION="$tag" ${push:+PUSH=1} scripts/images.sh
	undo+=("# the images $tag of $engine can stay: nothing names them but the tag")
fi

step "tag"
run git tag --annotate --message "rdev $version" "$tag"
undo+=("git tag --delete $tag")

if [ -n "$push" ]; then
	step "push"
	run git push --quiet --atomic origin main "$tag"
	undo=("# $tag is public: put it right with another release, or withdraw it:" "git push origin --delete $tag")
fi

# layer writes an overlay over the overlay: its images, at this version.
layer() {
	local rendered name pod
	rendered=$(kubectl kustomize "$overlay")
	mkdir -p "$dist/deploy"
	{
		echo "resources: [$(realpath --relative-to="$dist/deploy" "$overlay")]"
		echo "images:"
		for service in "${services[@]}"; do
			name=$(sed -nE "s|^ *(- )?image: *([^ ]*/$service)([:@].*)?$|\2|p" <<<"$rendered" | sed -n 1p)
			if [ -z "$name" ]; then
				say "$overlay has no image of $service"
				return 1
			fi
			echo "- {name: $name, newTag: $tag}"
		done
		pod=$(sed -nE 's/^ *POD_IMAGE: *(.*):[^:]*-(claude-code|opencode|codex|gemini)$/\1:'"$tag"'-\2/p' <<<"$rendered")
		if [ -n "$pod" ]; then
			echo "configMapGenerator:"
			echo "- {name: rdev-settings, namespace: $NAMESPACE, behavior: merge, literals: [POD_IMAGE=$pod]}"
		fi
	} >"$dist/deploy/kustomization.yaml"
}

if [ -n "$deploy" ]; then
	step "deploy $overlay to $context"
	run layer
	undo+=("for d in ${services[*]}; do kubectl --namespace $NAMESPACE rollout undo deployment/\$d; done # back to the version before")
	# A Job cannot be changed, and the last one says nothing any more.
	run kubectl --namespace "$NAMESPACE" delete job migrate --ignore-not-found
	run kubectl apply --server-side --force-conflicts --kustomize "$dist/deploy"
	run kubectl --namespace "$NAMESPACE" wait --for condition=complete --timeout 10m job/migrate
	for service in "${services[@]}"; do
		run kubectl --namespace "$NAMESPACE" rollout status "deployment/$service" --timeout 10m
	done
fi

doing=""
if [ -n "$dry" ]; then
	say "nothing was done"
elif [ -z "$push" ]; then
	say "$tag is here only; git push --atomic origin main $tag publishes it"
else
	say "$tag is released"
fi
