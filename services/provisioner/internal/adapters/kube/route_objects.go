package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1apply "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/orchard9/rdev/libs/kube"
)

// ingressName is that of a host of a project. Slug and sum have no common border with those
// of another: the sum is always as long.
func ingressName(slug, host string) string {
	sum := sha256.Sum256([]byte(host))
	return kube.NameOf(slug) + "-" + hex.EncodeToString(sum[:6])
}

// look finds what there is of a route and of the Service; each is nil where there is none.
// What is in the way is an error.
func (r *Routes) look(ctx context.Context, slug, host string) (*networkingv1.Ingress, *corev1.Service, error) {
	if err := checkHost(host); err != nil {
		return nil, nil, err
	}
	ingress, err := r.ingress(ctx, slug, host)
	if err != nil {
		return nil, nil, err
	}
	service, err := r.service(ctx, slug)
	if err != nil {
		return nil, nil, err
	}
	return ingress, service, r.conflict(ctx, slug, host)
}

func (r *Routes) ingress(ctx context.Context, slug, host string) (*networkingv1.Ingress, error) {
	name := ingressName(slug, host)
	found, err := r.set.NetworkingV1().Ingresses(r.config.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, refusal(err, "ingress %s/%s", r.config.Namespace, name)
	case !isOf(found, slug):
		return nil, r.foreign("ingress", name, slug)
	}
	return found, nil
}

func (r *Routes) service(ctx context.Context, slug string) (*corev1.Service, error) {
	name := kube.NameOf(slug)
	found, err := r.set.CoreV1().Services(r.config.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, refusal(err, "service %s/%s", r.config.Namespace, name)
	case !isOf(found, slug):
		return nil, r.foreign("service", name, slug)
	}
	return found, nil
}

func (r *Routes) foreign(kind, name, slug string) error {
	return userError("the %s %s/%s is there, and is not rdev's for the project %s: rename it, or give the project another slug", kind, r.config.Namespace, name, slug)
}

// options are those of an apply: what we found is changed and nothing else, and where there
// was nothing there is no taking over what another made since.
func options(found bool) metav1.ApplyOptions {
	return metav1.ApplyOptions{FieldManager: manager, Force: found}
}

func (r *Routes) applyIngress(ctx context.Context, slug, host string, found *networkingv1.Ingress) error {
	wanted := r.wantedIngress(slug, host)
	if found != nil {
		wanted.WithUID(found.UID)
	}
	_, err := r.set.NetworkingV1().Ingresses(r.config.Namespace).Apply(ctx, wanted, options(found != nil))
	if err != nil {
		return refusal(err, "apply ingress %s/%s", r.config.Namespace, *wanted.Name)
	}
	return nil
}

func (r *Routes) applyService(ctx context.Context, slug string, found *corev1.Service) error {
	wanted := r.wantedService(slug)
	if found != nil {
		wanted.WithUID(found.UID)
	}
	_, err := r.set.CoreV1().Services(r.config.Namespace).Apply(ctx, wanted, options(found != nil))
	if err != nil {
		return refusal(err, "apply service %s/%s", r.config.Namespace, *wanted.Name)
	}
	return nil
}

func (r *Routes) deleteIngress(ctx context.Context, found *networkingv1.Ingress) error {
	err := r.set.NetworkingV1().Ingresses(r.config.Namespace).Delete(ctx, found.Name, exactly(found))
	if err != nil && !apierrors.IsNotFound(err) {
		return refusal(err, "delete ingress %s/%s", r.config.Namespace, found.Name)
	}
	return nil
}

func (r *Routes) deleteService(ctx context.Context, found *corev1.Service) error {
	err := r.set.CoreV1().Services(r.config.Namespace).Delete(ctx, found.Name, exactly(found))
	if err != nil && !apierrors.IsNotFound(err) {
		return refusal(err, "delete service %s/%s", r.config.Namespace, found.Name)
	}
	return nil
}

// exactly deletes an object that was found, and not another one that took its name since.
func exactly(found metav1.Object) metav1.DeleteOptions {
	return metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(found.GetUID()))}
}

// servicePort is the name of the Service's port.
const servicePort = "http"

func (r *Routes) wantedService(slug string) *corev1apply.ServiceApplyConfiguration {
	return corev1apply.Service(kube.NameOf(slug), r.config.Namespace).WithLabels(labelsOf(slug)).
		WithSpec(corev1apply.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithSelector(map[string]string{kube.LabelProject: kube.Project, kube.LabelProjectID: slug}).
			WithPorts(corev1apply.ServicePort().
				WithName(servicePort).WithProtocol(corev1.ProtocolTCP).WithPort(80).WithTargetPort(intstr.FromInt32(kube.Port))))
}

func (r *Routes) wantedIngress(slug, host string) *networkingv1apply.IngressApplyConfiguration {
	annotations := map[string]string{}
	maps.Copy(annotations, r.config.Annotations)
	if r.config.ClusterIssuer != "" {
		annotations["cert-manager.io/cluster-issuer"] = r.config.ClusterIssuer
	}
	spec := networkingv1apply.IngressSpec().
		WithRules(networkingv1apply.IngressRule().WithHost(host).
			WithHTTP(networkingv1apply.HTTPIngressRuleValue().
				WithPaths(networkingv1apply.HTTPIngressPath().WithPath("/").WithPathType(networkingv1.PathTypePrefix).
					WithBackend(networkingv1apply.IngressBackend().
						WithService(networkingv1apply.IngressServiceBackend().WithName(kube.NameOf(slug)).
							WithPort(networkingv1apply.ServiceBackendPort().WithName(servicePort)))))))
	if r.config.IngressClass != "" {
		spec.WithIngressClassName(r.config.IngressClass)
	}
	if secret := r.tlsSecret(slug, host); secret != "" {
		spec.WithTLS(networkingv1apply.IngressTLS().WithHosts(host).WithSecretName(secret))
	}
	return networkingv1apply.Ingress(ingressName(slug, host), r.config.Namespace).
		WithLabels(labelsOf(slug)).WithAnnotations(annotations).WithSpec(spec)
}

// tlsSecret is the Secret with the certificate of a host, "" where there is no TLS.
func (r *Routes) tlsSecret(slug, host string) string {
	if r.config.ClusterIssuer != "" {
		return ingressName(slug, host) + "-tls"
	}
	return r.config.TLSSecret
}
