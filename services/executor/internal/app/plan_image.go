package app

import (
	"maps"
	"path"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// buildImage has the first engine that there is build an image, and push it where that is
// asked for. Its arguments are whether it is, the context, and the options, of which each
// is one word and those of the tags begin with --tag=.
const buildImage = `push=$1 context=$2; shift 2
there() { command -v "$1" >/dev/null 2>&1; }
if there docker && docker buildx version >/dev/null 2>&1; then
	if [ "$push" = yes ]; then set -- --push "$@"; else set -- --load "$@"; fi
	exec docker buildx build "$@" "$context"
fi
for engine in docker podman buildah none; do there "$engine" && break; done
[ "$engine" != none ] || { echo 'there is no docker, podman or buildah here' >&2; exit 178; }
"$engine" build "$@" "$context" || exit
[ "$push" = yes ] || exit 0
for option in "$@"; do
	case $option in --tag=*) "$engine" push "${option#--tag=}" || exit;; esac
done`

func imageArgv(image contract.Image) []string {
	push := "no"
	if image.Push {
		push = "yes"
	}
	context := "./" + image.Context
	file := image.Dockerfile
	if file == "" {
		file = "Dockerfile"
	}
	args := []string{push, context, "--file=./" + path.Join(image.Context, file)}
	if image.Target != "" {
		args = append(args, "--target="+image.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(image.Args)) {
		args = append(args, "--build-arg="+name+"="+image.Args[name])
	}
	for _, tag := range image.Tags {
		args = append(args, "--tag="+tag)
	}
	return script(buildImage, args...)
}

// applyDirectory has a cluster be as a kustomization says, and waits for what is rolled out. The
// credential is the content of a file; kubectl wants its path. Its arguments are the
// directory, the namespace, how long it may take, each of which may be empty but the first,
// and what to wait for.
const applyDirectory = `dir=$1 namespace=$2 timeout=$3; shift 3
command -v kubectl >/dev/null 2>&1 || { echo 'there is no kubectl here' >&2; exit 179; }
[ -n "${KUBECONFIG-}" ] || { echo 'the credential KUBECONFIG is missing' >&2; exit 1; }
(umask 077 && printf '%s\n' "$KUBECONFIG" >"$HOME/.kubeconfig") || exit
KUBECONFIG=$HOME/.kubeconfig
kubectl apply ${namespace:+"--namespace=$namespace"} -k "$dir" || exit
for what in "$@"; do
	kubectl rollout status ${namespace:+"--namespace=$namespace"} ${timeout:+"--timeout=$timeout"} "$what" || exit
done`

func deployArgv(to contract.Deploy, timeout time.Duration) []string {
	within := ""
	if timeout > 0 {
		within = timeout.String()
	}
	return script(applyDirectory, append([]string{"./" + to.Kustomize, to.Namespace, within}, to.Rollout...)...)
}
