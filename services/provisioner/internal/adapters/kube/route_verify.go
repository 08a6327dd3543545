package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Verify implements app.Routes.
func (r *Routes) Verify(ctx context.Context, slug, host string) (differences []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	ingress, service, err := r.look(ctx, slug, host)
	if wrong, ok := errors.AsType[*app.StepError](err); ok && wrong.Failure.Class == contract.ClassUser {
		return []string{wrong.Failure.Message}, nil
	}
	if err != nil {
		return nil, err
	}
	var wantedIngress networkingv1.Ingress
	var wantedService corev1.Service
	if err := errors.Join(typed(r.wantedIngress(slug, host), &wantedIngress), typed(r.wantedService(slug), &wantedService)); err != nil {
		return nil, err
	}
	switch {
	case ingress == nil:
		differences = append(differences, fmt.Sprintf("there is no ingress %s/%s for the host %s", r.config.Namespace, ingressName(slug, host), host))
	case !r.isAs(ingress, wantedIngress):
		differences = append(differences, fmt.Sprintf("the ingress %s/%s for the host %s is not as rdev makes it", r.config.Namespace, ingress.Name, host))
	}
	switch {
	case service == nil:
		differences = append(differences, fmt.Sprintf("there is no service %s/%s", r.config.Namespace, kube.NameOf(slug)))
	case !leads(service, wantedService):
		differences = append(differences, fmt.Sprintf("the service %s/%s does not lead to port %d of the project's pod", r.config.Namespace, service.Name, kube.Port))
	}
	return differences, nil
}

// isAs tells whether an Ingress is as it is wanted. Its class may be the cluster's default.
func (r *Routes) isAs(found *networkingv1.Ingress, wanted networkingv1.Ingress) bool {
	if r.config.IngressClass == "" {
		wanted.Spec.IngressClassName = found.Spec.IngressClassName
	}
	for name, value := range wanted.Annotations {
		if found.Annotations[name] != value {
			return false
		}
	}
	return equality.Semantic.DeepEqual(found.Spec, wanted.Spec)
}

// leads tells whether a Service leads where it is wanted to, and is open to no more.
func leads(found *corev1.Service, wanted corev1.Service) bool {
	if len(found.Spec.Ports) != 1 {
		return false
	}
	port := found.Spec.Ports[0]
	port.NodePort, port.AppProtocol = 0, nil
	return found.Spec.Type == wanted.Spec.Type && equality.Semantic.DeepEqual(found.Spec.Selector, wanted.Spec.Selector) &&
		equality.Semantic.DeepEqual(port, wanted.Spec.Ports[0])
}

// typed is what would be applied as an object.
func typed(wanted, object any) error {
	data, err := json.Marshal(wanted)
	if err == nil {
		err = json.Unmarshal(data, object)
	}
	if err != nil {
		return fmt.Errorf("make %T: %w", object, err)
	}
	return nil
}
