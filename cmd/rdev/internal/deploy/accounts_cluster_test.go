//go:build cluster

package deploy_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// may is all that the accounts of the services may do, as "verb group/resource",
// and always in the namespace of projects.
func may() map[string][]string {
	return map[string][]string{
		"executor": {"list /pods", "watch /pods", "get /pods/exec", "create /pods/exec"},
		"provisioner": {
			"get apps/statefulsets", "create apps/statefulsets", "patch apps/statefulsets", "delete apps/statefulsets",
			"get /persistentvolumeclaims", "list /persistentvolumeclaims", "deletecollection /persistentvolumeclaims",
			"get /serviceaccounts", "create /serviceaccounts", "patch /serviceaccounts", "delete /serviceaccounts",
			"get /services", "create /services", "patch /services", "delete /services",
			"get networking.k8s.io/ingresses", "list networking.k8s.io/ingresses", "create networking.k8s.io/ingresses",
			"patch networking.k8s.io/ingresses", "delete networking.k8s.io/ingresses",
			"list /pods", "watch /pods", "create /pods", "delete /pods", "list /events",
		},
		"gateway": nil, "audit": nil, "notifier": nil, "migrate": nil, "nats": nil, "postgres": nil, "default": nil,
	}
}

func verbs() []string {
	return []string{
		"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
		"bind", "escalate", "impersonate", "*",
	}
}

// accountsAreBounded asks the API server about every verb on everything that it
// has, and tries some of it with a token of the account.
func (i *installation) accountsAreBounded(t *testing.T) {
	resources := i.resources(t)
	asked := 0
	for account, allowed := range may() {
		var questions []authorizationv1.ResourceAttributes
		for _, namespace := range []string{projects, services, metav1.NamespaceSystem, metav1.NamespaceAll} {
			for _, resource := range resources {
				for _, verb := range verbs() {
					resource.Verb, resource.Namespace = verb, namespace
					questions = append(questions, resource)
				}
			}
		}
		asked += len(questions)
		i.ask(t, account, questions, allowed)
	}
	t.Logf("%d questions about %d kinds of things", asked, len(resources))
	i.try403(t)
}

// resources are all kinds of things that the API server has, and "*" for all.
func (i *installation) resources(t *testing.T) []authorizationv1.ResourceAttributes {
	t.Helper()
	_, lists, err := i.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	all := []authorizationv1.ResourceAttributes{{Group: "*", Resource: "*"}, {Resource: "users"}, {Resource: "groups"}}
	for _, list := range lists {
		group, version, _ := strings.Cut(list.GroupVersion, "/")
		if version == "" {
			group = ""
		}
		for _, resource := range list.APIResources {
			name, sub, _ := strings.Cut(resource.Name, "/")
			all = append(all, authorizationv1.ResourceAttributes{Group: group, Resource: name, Subresource: sub})
		}
	}
	if len(all) < 100 {
		t.Fatalf("the API server has only %d kinds of things", len(all))
	}
	return all
}

// ask compares the answers of the API server with what is allowed.
func (i *installation) ask(t *testing.T, account string, questions []authorizationv1.ResourceAttributes, allowed []string) {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	found := map[string]bool{}
	next := make(chan authorizationv1.ResourceAttributes)
	for range 16 {
		group.Go(func() {
			for question := range next {
				yes, err := i.allowed(t.Context(), account, question)
				if err != nil {
					t.Error(err)
				}
				if !yes {
					continue
				}
				what := called(question)
				mu.Lock()
				found[what] = true
				mu.Unlock()
				if question.Namespace != projects || !slices.Contains(allowed, what) {
					t.Errorf("%s may %s in namespace %q", account, what, question.Namespace)
				}
			}
		})
	}
	for _, question := range questions {
		if !forEverybody(question) {
			next <- question
		}
	}
	close(next)
	group.Wait()
	for _, what := range allowed {
		if !found[what] {
			t.Errorf("%s may not %s", account, what)
		}
	}
}

// forEverybody is what Kubernetes itself lets every account do: ask what it may do
// itself, and read the public certificates of authorities.
func forEverybody(question authorizationv1.ResourceAttributes) bool {
	switch question.Resource {
	case "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews":
		return question.Verb == "create"
	case "clustertrustbundles":
		return slices.Contains([]string{"get", "list", "watch"}, question.Verb)
	}
	return false
}

func called(question authorizationv1.ResourceAttributes) string {
	name := question.Verb + " " + question.Group + "/" + question.Resource
	if question.Subresource != "" {
		name += "/" + question.Subresource
	}
	return name
}

func (i *installation) allowed(ctx context.Context, account string, question authorizationv1.ResourceAttributes) (bool, error) {
	review, err := i.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			ResourceAttributes: &question, User: "system:serviceaccount:" + services + ":" + account,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + services, "system:authenticated"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// try403 asks with the tokens of the accounts for what they must not have.
func (i *installation) try403(t *testing.T) {
	t.Helper()
	for account := range may() {
		as := i.as(t, account)
		core := as.CoreV1()
		for what, err := range map[string]error{
			"read the secrets of the services": second(core.Secrets(services).List(t.Context(), metav1.ListOptions{})),
			"read the secrets of projects":     second(core.Secrets(projects).List(t.Context(), metav1.ListOptions{})),
			"read one of its own secrets":      second(core.Secrets(services).Get(t.Context(), "rdev-nats-"+account, metav1.GetOptions{})),
			"see the pods of the services":     second(core.Pods(services).List(t.Context(), metav1.ListOptions{})),
			"see the nodes":                    second(core.Nodes().List(t.Context(), metav1.ListOptions{})),
			"delete the pods of projects":      core.Pods(projects).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}),
			"make a token": second(core.ServiceAccounts(services).CreateToken(t.Context(), "provisioner",
				&authenticationv1.TokenRequest{}, metav1.CreateOptions{})),
		} {
			if !apierrors.IsForbidden(err) {
				t.Errorf("%s may %s: %v", account, what, err)
			}
		}
		_, err := core.Pods(projects).List(t.Context(), metav1.ListOptions{})
		if may := slices.Contains(may()[account], "list /pods"); (err == nil) != may {
			t.Errorf("%s lists the pods of projects: %v", account, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// as is a client with nothing but a token of the account.
func (i *installation) as(t *testing.T, account string) *kubernetes.Clientset {
	t.Helper()
	token, err := i.client.CoreV1().ServiceAccounts(services).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(i.cluster.Config())
	config.BearerToken = token.Status.Token
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
