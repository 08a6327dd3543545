package kube

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	appsv1apply "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/orchard9/rdev/libs/kube"
)

// Template is what the pods of projects are like. Quantities are as Kubernetes
// writes them, as 500m and 2Gi.
type Template struct {
	Image      string // with rdev-runner, git and an agent's CLI
	PullPolicy string // Always, IfNotPresent, Never; empty for the cluster's default
	PullSecret string // a Secret of the namespace, empty for none
	// RuntimeClass chooses how the pod is isolated, as gvisor or kata; empty for
	// the cluster's default.
	RuntimeClass string
	StorageClass string // empty for the cluster's default
	Storage      string // of the volume that keeps the workspace
	CPURequest   string
	CPULimit     string // empty for none: a limit makes idle CPU useless
	MemoryLimit  string // also its request, so that a pod is never evicted for it
	Ephemeral    string // limit of all that is written beside the volume
}

func (t Template) check() error {
	if t.Image == "" {
		return errors.New("no image")
	}
	switch corev1.PullPolicy(t.PullPolicy) {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return fmt.Errorf("pull policy %q is none of Always, IfNotPresent, Never", t.PullPolicy)
	}
	var wrong []error
	for _, q := range []struct {
		name, value string
		optional    bool
	}{
		{"storage", t.Storage, false},
		{"CPU request", t.CPURequest, false},
		{"CPU limit", t.CPULimit, true},
		{"memory limit", t.MemoryLimit, false},
		{"limit of ephemeral storage", t.Ephemeral, false},
	} {
		if _, err := resource.ParseQuantity(q.value); err != nil && (q.value != "" || !q.optional) {
			wrong = append(wrong, fmt.Errorf("%s %q: %w", q.name, q.value, err))
		}
	}
	return errors.Join(wrong...)
}

// user is who programs run as: nobody that the node knows.
const user = 1000

// volume is the name of the volume that keeps the workspace.
const volume = "workspace"

// claimOf names the claim of a project's volume, as a StatefulSet does.
func claimOf(slug string) string { return volume + "-" + kube.NameOf(slug) + "-0" }

func labelsOf(slug string) map[string]string {
	return map[string]string{
		kube.LabelManagedBy: kube.ManagedBy, kube.LabelProject: kube.Project, kube.LabelProjectID: slug,
	}
}

func (t Template) statefulSet(namespace, slug string) *appsv1apply.StatefulSetApplyConfiguration {
	selected := map[string]string{kube.LabelProject: kube.Project, kube.LabelProjectID: slug}
	claim := corev1apply.PersistentVolumeClaim(volume, "").WithLabels(labelsOf(slug)).
		WithSpec(corev1apply.PersistentVolumeClaimSpec().WithAccessModes(corev1.ReadWriteOnce).
			WithResources(corev1apply.VolumeResourceRequirements().
				WithRequests(corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(t.Storage)})))
	claim.Namespace = nil
	if t.StorageClass != "" {
		claim.Spec.WithStorageClassName(t.StorageClass)
	}
	return appsv1apply.StatefulSet(kube.NameOf(slug), namespace).WithLabels(labelsOf(slug)).
		WithSpec(appsv1apply.StatefulSetSpec().
			WithReplicas(1).
			WithSelector(metav1apply.LabelSelector().WithMatchLabels(selected)).
			WithVolumeClaimTemplates(claim).
			WithPersistentVolumeClaimRetentionPolicy(appsv1apply.StatefulSetPersistentVolumeClaimRetentionPolicy().
				WithWhenDeleted(appsv1.DeletePersistentVolumeClaimRetentionPolicyType).
				WithWhenScaled(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)).
			WithTemplate(corev1apply.PodTemplateSpec().WithLabels(labelsOf(slug)).
				WithSpec(t.pod().WithServiceAccountName(kube.NameOf(slug)))))
}

// pod has nothing that a program could gain something with: no privileges, no
// token, and nothing of the run, whose environment and secrets come over the
// standard input of rdev-runner.
func (t Template) pod() *corev1apply.PodSpecApplyConfiguration {
	container := corev1apply.Container().
		WithName(kube.Container).WithImage(t.Image).WithCommand(kube.Runner, "idle").WithWorkingDir(kube.Volume).
		WithSecurityContext(corev1apply.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).WithPrivileged(false).
			WithCapabilities(corev1apply.Capabilities().WithDrop("ALL"))).
		WithResources(corev1apply.ResourceRequirements().WithRequests(t.requests()).WithLimits(t.limits())).
		WithVolumeMounts(
			corev1apply.VolumeMount().WithName(volume).WithMountPath(kube.Volume),
			corev1apply.VolumeMount().WithName("tmp").WithMountPath("/tmp"))
	if t.PullPolicy != "" {
		container.WithImagePullPolicy(corev1.PullPolicy(t.PullPolicy))
	}
	pod := corev1apply.PodSpec().
		WithAutomountServiceAccountToken(false).WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(5).
		WithSecurityContext(corev1apply.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(user).WithRunAsGroup(user).WithFSGroup(user).
			WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(corev1apply.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithContainers(container).
		WithVolumes(corev1apply.Volume().WithName("tmp").
			WithEmptyDir(corev1apply.EmptyDirVolumeSource().WithSizeLimit(resource.MustParse(t.Ephemeral))))
	if t.RuntimeClass != "" {
		pod.WithRuntimeClassName(t.RuntimeClass)
	}
	if t.PullSecret != "" {
		pod.WithImagePullSecrets(corev1apply.LocalObjectReference().WithName(t.PullSecret))
	}
	return pod
}

func (t Template) requests() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(t.CPURequest),
		corev1.ResourceMemory:           resource.MustParse(t.MemoryLimit),
		corev1.ResourceEphemeralStorage: resource.MustParse(t.Ephemeral),
	}
}

func (t Template) limits() corev1.ResourceList {
	limits := corev1.ResourceList{
		corev1.ResourceMemory:           resource.MustParse(t.MemoryLimit),
		corev1.ResourceEphemeralStorage: resource.MustParse(t.Ephemeral),
	}
	if t.CPULimit != "" {
		limits[corev1.ResourceCPU] = resource.MustParse(t.CPULimit)
	}
	return limits
}
