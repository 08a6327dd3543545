package testcluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// StorageClass is the default class of the cluster. Its volumes are directories
// that a pod with an fsGroup may write, made for a claim and removed after it.
const StorageClass = "rdev-local"

const (
	provisionerName = "rdev.orchard9.ai/testcluster"
	provisionedBy   = "pv.kubernetes.io/provisioned-by" // makes Kubernetes leave the removal to us
	// again is after how long a claim or volume that could not be handled is
	// looked at once more.
	again = 2 * time.Second
)

// provisioner makes a local volume for every claim of StorageClass, as Kubernetes
// itself makes none of a kind that minds the fsGroup.
type provisioner struct {
	client *kubernetes.Clientset
	dir    string // has a directory for each volume
	log    *slog.Logger

	factory informers.SharedInformerFactory
	cancel  context.CancelFunc
}

// startProvisioner makes the class and serves it until stop.
func startProvisioner(ctx context.Context, client *kubernetes.Clientset, dir string, log *slog.Logger) (*provisioner, error) {
	p := &provisioner{client: client, dir: dir, log: log, factory: informers.NewSharedInformerFactory(client, again)}
	reclaim, binding := corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingImmediate
	_, err := client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: StorageClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: provisionerName, ReclaimPolicy: &reclaim, VolumeBindingMode: &binding,
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make the storage class: %w", err)
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	claims := p.factory.Core().V1().PersistentVolumeClaims().Informer()
	volumes := p.factory.Core().V1().PersistentVolumes().Informer()
	_, err = claims.AddEventHandler(p.handler(serving, func(object any) error {
		claim, ok := object.(*corev1.PersistentVolumeClaim)
		if !ok || !wants(claim) {
			return nil
		}
		return p.provision(serving, claim)
	}))
	if err == nil {
		_, err = volumes.AddEventHandler(p.handler(serving, func(object any) error {
			volume, ok := object.(*corev1.PersistentVolume)
			if !ok || !released(volume) {
				return nil
			}
			return p.reclaim(serving, volume)
		}))
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch volumes: %w", err)
	}
	p.factory.StartWithContext(serving)
	return p, nil
}

// stop ends the provisioner and waits for it.
func (p *provisioner) stop() {
	p.cancel()
	p.factory.Shutdown()
}

// handler handles what is new, has changed, or was left over the last time.
func (p *provisioner) handler(ctx context.Context, handle func(any) error) cache.ResourceEventHandler {
	do := func(object any) {
		if err := handle(object); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "a volume has to wait", "error", err)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: do, UpdateFunc: func(_, object any) { do(object) }}
}

func wants(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Status.Phase == corev1.ClaimPending && claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil &&
		claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == StorageClass
}

func released(volume *corev1.PersistentVolume) bool {
	return volume.Status.Phase == corev1.VolumeReleased && volume.Annotations[provisionedBy] == provisionerName &&
		volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
}

// provision makes the volume of a claim. Its name has the claim's UID, so that a
// second time changes nothing.
func (p *provisioner) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisionerName}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			StorageClassName:              StorageClass,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			ClaimRef: &corev1.ObjectReference{
				Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			NodeAffinity: onNode(),
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

// onNode says that a volume is on the only node.
func onNode() *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{nodeName},
		}},
	}}}}
}

// reclaim removes a volume whose claim is gone, the files first.
func (p *provisioner) reclaim(ctx context.Context, volume *corev1.PersistentVolume) error {
	if err := os.RemoveAll(filepath.Join(p.dir, volume.Name)); err != nil {
		return fmt.Errorf("remove volume %s: %w", volume.Name, err)
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", volume.Name, err)
	}
	return nil
}
