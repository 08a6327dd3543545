// Package policy turns NetworkPolicies into rules of nftables.
//
// What a pod may send is decided in chains of the hooks forward (to pods and
// beyond the node) and input (to the node itself), after kube-proxy has put a pod
// in a Service's place; what it may receive in a second chain of forward. The node
// itself reaches every pod, as its packets pass neither. Answers pass with what
// they answer, so a connection outlives the policy that allowed it.
//
// Pods in the node's own network are the node: no policy selects them, and no
// podSelector or namespaceSelector means them. The cluster speaks IPv4 alone, so
// IPv6 is dropped, and a block of IPv6 addresses allows nothing. Pods are told
// apart by their addresses: one with NET_RAW or NET_ADMIN can pretend another's.
package policy

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Pod is an address that a pod has.
type Pod struct {
	Address netip.Addr
	Object  *corev1.Pod // nil where the API server has none: such a pod reaches nothing, and nothing reaches it
}

// State is what the rules are made of.
type State struct {
	Pods       []Pod
	Namespaces map[string]labels.Set // their labels, by their names
	Policies   []*networkingv1.NetworkPolicy
}

// selected are the pods that a policy is about, known ones alone.
func (s State) selected(p *networkingv1.NetworkPolicy) ([]Pod, error) {
	return s.pods(p.Namespace, nil, &p.Spec.PodSelector)
}

// pods are those that both selectors mean. Without one for namespaces they are
// those of the namespace home; without one for pods, all of them.
func (s State) pods(home string, namespaces, pods *metav1.LabelSelector) ([]Pod, error) {
	inNamespace, err := metav1.LabelSelectorAsSelector(namespaces)
	if err != nil {
		return nil, err
	}
	if pods == nil {
		pods = &metav1.LabelSelector{}
	}
	isPod, err := metav1.LabelSelectorAsSelector(pods)
	if err != nil {
		return nil, err
	}
	var found []Pod
	for _, pod := range s.Pods {
		if pod.Object == nil || !isPod.Matches(labels.Set(pod.Object.Labels)) {
			continue
		}
		if namespaces == nil && pod.Object.Namespace == home ||
			namespaces != nil && inNamespace.Matches(s.Namespaces[pod.Object.Namespace]) {
			found = append(found, pod)
		}
	}
	return found, nil
}

// direction is egress or ingress, and how the rules of the two differ.
type direction struct {
	kind networkingv1.PolicyType
	name string // of chains, in front
	near string // the end of a packet's way at which the selected pod is
	far  string // the other
}

func directions() []direction {
	return []direction{
		{networkingv1.PolicyTypeEgress, "egress", "ip saddr", "ip daddr"},
		{networkingv1.PolicyTypeIngress, "ingress", "ip daddr", "ip saddr"},
	}
}

// in tells whether a policy is about the direction. The API server has filled in
// the types where the author left them out.
func (d direction) in(p *networkingv1.NetworkPolicy) bool {
	return slices.Contains(p.Spec.PolicyTypes, d.kind)
}

// allowance is one rule of a policy; either direction's has the same parts.
type allowance struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func (d direction) allowances(p *networkingv1.NetworkPolicy) []allowance {
	var all []allowance
	if d.kind == networkingv1.PolicyTypeEgress {
		for _, r := range p.Spec.Egress {
			all = append(all, allowance{r.To, r.Ports})
		}
		return all
	}
	for _, r := range p.Spec.Ingress {
		all = append(all, allowance{r.From, r.Ports})
	}
	return all
}
