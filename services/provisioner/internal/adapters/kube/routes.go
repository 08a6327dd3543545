package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Routes implements app.Routes: an Ingress for each host, and for each project that has
// any a Service, which leads to port 8080 of its pod. Both have the labels of the project.
type Routes struct {
	set    kubernetes.Interface
	config RouteConfig
}

// RouteConfig says where routes are made, and how.
type RouteConfig struct {
	Cluster   *rest.Config
	Namespace string // of the pods of projects
	// IngressClass names the controller that serves the hosts; the cluster's default where
	// empty.
	IngressClass string
	// TLSSecret is a Secret of the namespace with a certificate for all hosts, as one for
	// *.apps.example.com. ClusterIssuer is one of cert-manager's, which makes a certificate
	// for each. With one of them URLs begin with https, with neither http.
	TLSSecret     string
	ClusterIssuer string
	// Annotations are put on each Ingress, as its controller knows them.
	Annotations map[string]string
}

// NewRoutes keeps routes in a cluster. It does not connect.
func NewRoutes(cfg RouteConfig) (*Routes, error) {
	if cfg.TLSSecret != "" && cfg.ClusterIssuer != "" {
		return nil, errors.New("routes of projects: a secret with a certificate and an issuer of certificates: only one can be")
	}
	set, err := kubernetes.NewForConfig(cfg.Cluster)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return &Routes{set: set, config: cfg}, nil
}

// routeTimeout bounds one call of Routes: a few requests to the API server.
const routeTimeout = 30 * time.Second

// Plan implements app.Routes.
func (r *Routes) Plan(ctx context.Context, slug, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	_, _, err := r.look(ctx, slug, host)
	return "ingress " + ingressName(slug, host), err
}

// Create implements app.Routes. Where two projects ask for one host at once at the most
// one of them gets it.
func (r *Routes) Create(ctx context.Context, slug, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	ingress, service, err := r.look(ctx, slug, host)
	if err != nil {
		return "", err
	}
	if ingress != nil && ingress.DeletionTimestamp != nil || service != nil && service.DeletionTimestamp != nil {
		return "", fmt.Errorf("a route of %s is being removed", host)
	}
	// The Service comes second: whoever removes it with the last route sees this one, or is
	// done before.
	if err = r.applyIngress(ctx, slug, host, ingress); err == nil {
		err = r.applyService(ctx, slug, service)
	}
	if err != nil {
		return "", err
	}
	if ingress == nil {
		if err := r.conflict(ctx, slug, host); err != nil {
			return "", errors.Join(err, r.remove(ctx, slug, host))
		}
	}
	if r.tlsSecret(slug, host) != "" {
		return "https://" + host, nil
	}
	return "http://" + host, nil
}

// Remove implements app.Routes. The Service goes with the last route.
func (r *Routes) Remove(ctx context.Context, slug, host string) error {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	return r.remove(ctx, slug, host)
}

func (r *Routes) remove(ctx context.Context, slug, host string) error {
	ingress, err := r.ingress(ctx, slug, host)
	if err != nil {
		return err
	}
	if ingress != nil {
		if err := r.deleteIngress(ctx, ingress); err != nil {
			return err
		}
	}
	service, err := r.service(ctx, slug)
	if err != nil {
		return err
	}
	left, err := r.left(ctx, slug)
	if err != nil || left == (service != nil) { // it is there where it has to be
		return err
	}
	if service != nil {
		if err := r.deleteService(ctx, service); err != nil {
			return err
		}
		if left, err = r.left(ctx, slug); err != nil || !left {
			return err
		}
	}
	return r.applyService(ctx, slug, nil) // for a route that was made meanwhile
}

// left tells whether a project has a route.
func (r *Routes) left(ctx context.Context, slug string) (bool, error) {
	all, err := r.set.NetworkingV1().Ingresses(r.config.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.SelectorFromSet(labelsOf(slug)).String(),
	})
	if err != nil {
		return false, refusal(err, "list the routes of %s", slug)
	}
	return slices.ContainsFunc(all.Items, func(i networkingv1.Ingress) bool { return i.DeletionTimestamp == nil }), nil
}

// labelSolver is on what cert-manager makes for a moment, to show that a host is ours.
const labelSolver = "acme.cert-manager.io/http01-solver"

// conflict is an error where another Ingress of the namespace has the host.
func (r *Routes) conflict(ctx context.Context, slug, host string) error {
	all, err := r.set.NetworkingV1().Ingresses(r.config.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return refusal(err, "list ingresses")
	}
	for _, other := range all.Items {
		if other.Name == ingressName(slug, host) || other.Labels[labelSolver] == "true" || !has(&other, host) {
			continue
		}
		if project := other.Labels[kube.LabelProjectID]; isOf(&other, project) && project != "" {
			return userError("the host %s leads to the project %s: remove it there, or take another", host, project)
		}
		return userError("the host %s is that of the ingress %s/%s, which rdev did not make: remove it there, or take another", host, other.Namespace, other.Name)
	}
	return nil
}

func has(ingress *networkingv1.Ingress, host string) bool {
	return slices.ContainsFunc(ingress.Spec.Rules, func(rule networkingv1.IngressRule) bool { return rule.Host == host })
}

func userError(format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(contract.ClassUser, format, args...)}
}

// refusal is an error of the API server: one for the operator where it would say the same
// again.
func refusal(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	switch {
	case replaced(err):
		return fmt.Errorf("%s: another took its name meanwhile: %w", what, err)
	case apierrors.IsUnauthorized(err):
		return &app.StepError{Failure: contract.NewFailure(contract.ClassAuth, "%s: Kubernetes does not know who asks: %v", what, err)}
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return userError("%s: Kubernetes refuses it: %v", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// replaced tells whether an object was not changed because it is not the one that was found.
func replaced(err error) bool {
	answer, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && answer.ErrStatus.Details != nil && slices.ContainsFunc(answer.ErrStatus.Details.Causes, func(cause metav1.StatusCause) bool {
		return cause.Field == "metadata.uid"
	})
}

// checkHost wants a name as Kubernetes takes it.
func checkHost(host string) error {
	if wrong := validation.IsDNS1123Subdomain(host); len(wrong) > 0 {
		return userError("%q is not the name of a host: %s", host, wrong[0])
	}
	return nil
}
