package testcluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/orchard9/rdev/libs/testcluster/image"
	"github.com/orchard9/rdev/libs/testcluster/internal/components"
)

const (
	clusterDomain = "cluster.local"
	dnsNamespace  = metav1.NamespaceSystem
	dnsName       = "coredns"
	dnsPatience   = 200 * time.Millisecond // with one question to it at the start
)

// corefile answers for the cluster, and says of every other name that there is
// none: what a pod asks has an answer at once.
const corefile = clusterDomain + ` in-addr.arpa ip6.arpa {
	errors
	kubernetes ` + clusterDomain + ` in-addr.arpa ip6.arpa {
		pods insecure
	}
}
. {
	errors
	template ANY ANY {
		rcode NXDOMAIN
	}
}
`

// dnsImage makes the image of CoreDNS. The first build takes minutes.
func dnsImage(ctx context.Context, root, dir string, log *slog.Logger) (image.Image, error) {
	program, err := components.CoreDNS(ctx, root, dir, log)
	if err != nil {
		return image.Image{}, err
	}
	return image.Built(ctx, image.Options{Root: root}, program)
}

// makeDNS has CoreDNS run as on other clusters, in a pod of kube-system with the
// label k8s-app=kube-dns, behind the Service kube-dns.
func (c *Cluster) makeDNS(ctx context.Context) error {
	labels := map[string]string{"k8s-app": "kube-dns"}
	meta := metav1.ObjectMeta{Name: dnsName, Namespace: dnsNamespace, Labels: labels}
	core, create := c.client.CoreV1(), metav1.CreateOptions{}
	steps := []func() error{
		func() error {
			_, err := core.ServiceAccounts(dnsNamespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, create)
			return err
		},
		func() error {
			_, err := c.client.RbacV1().ClusterRoles().Create(ctx, dnsRole(), create)
			return err
		},
		func() error {
			_, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, dnsBinding(), create)
			return err
		},
		func() error {
			data := map[string]string{"Corefile": corefile}
			_, err := core.ConfigMaps(dnsNamespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: data}, create)
			return err
		},
		func() error {
			_, err := core.Services(dnsNamespace).Create(ctx, dnsService(labels), create)
			return err
		},
		func() error {
			_, err := c.client.AppsV1().Deployments(dnsNamespace).Create(ctx, dnsDeployment(meta, c.dns), create)
			return err
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("give the cluster a DNS: %w", err)
		}
	}
	return nil
}

func dnsRole() *rbacv1.ClusterRole {
	read := []string{"list", "watch"}
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "system:coredns"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services", "pods", "namespaces"}, Verbs: read},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
		},
	}
}

func dnsBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "system:coredns"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:coredns"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: dnsName, Namespace: dnsNamespace}},
	}
}

func dnsService(labels map[string]string) *corev1.Service {
	port := func(name string, protocol corev1.Protocol) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: protocol, Port: 53, TargetPort: intstr.FromInt32(53)}
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns", Namespace: dnsNamespace, Labels: labels},
		Spec: corev1.ServiceSpec{
			ClusterIP: dnsServiceIP, Selector: labels,
			Ports: []corev1.ServicePort{port("dns", corev1.ProtocolUDP), port("dns-tcp", corev1.ProtocolTCP)},
		},
	}
}

// dnsDeployment has no readiness probe: a kubelet looks once a second, and what
// waits for the DNS asks it.
func dnsDeployment(meta metav1.ObjectMeta, image image.Image) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: meta.Labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels},
				Spec: corev1.PodSpec{
					ServiceAccountName: dnsName,
					DNSPolicy:          corev1.DNSDefault, // the node's: it is no client of its own
					Containers: []corev1.Container{{
						Name: dnsName, Image: image.Name, ImagePullPolicy: corev1.PullNever,
						Args:         []string{"-conf", "/etc/coredns/Corefile"},
						VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/coredns"}},
					}},
					Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
						ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: meta.Name}},
					}}},
				},
			},
		},
	}
}

// dnsAnswers asks it, as a pod does, where the API server is.
func (c *Cluster) dnsAnswers(ctx context.Context) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(dnsServiceIP, "53"))
	}}
	ctx, cancel := context.WithTimeout(ctx, dnsPatience)
	defer cancel()
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+clusterDomain+".")
	if err == nil && addresses[0] != apiServiceIP {
		err = errors.New("the DNS does not know the API server")
	}
	return err
}
