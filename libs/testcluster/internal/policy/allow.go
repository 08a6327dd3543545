package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// peer is whom a rule allows: a condition on a packet, and the pods among them,
// whose named ports an egress rule may mean.
type peer struct {
	condition string // empty: everybody
	pods      []Pod
}

// rules are the conditions under which a packet to or from one of the selected
// pods is accepted by the policy.
func (s State) rules(d direction, p *networkingv1.NetworkPolicy, selected []Pod) ([]string, error) {
	var all []string
	for _, a := range d.allowances(p) {
		peers, err := s.peers(d, p.Namespace, a.peers)
		if err != nil {
			return nil, err
		}
		for _, peer := range peers {
			servers := selected
			if d.kind == networkingv1.PolicyTypeEgress {
				servers = peer.pods
			}
			for _, port := range ports(a.ports, servers) {
				all = append(all, strings.Join(strings.Fields(peer.condition+" "+port+" accept"), " "))
			}
		}
	}
	return all, nil
}

// peers are those of a rule. Pods that are not there need no condition.
func (s State) peers(d direction, home string, from []networkingv1.NetworkPolicyPeer) ([]peer, error) {
	if len(from) == 0 {
		return []peer{{pods: s.Pods}}, nil
	}
	var all []peer
	for _, p := range from {
		if p.IPBlock != nil {
			condition, err := block(d, p.IPBlock)
			if err != nil {
				return nil, err
			}
			if condition != "" {
				all = append(all, peer{condition: condition})
			}
			continue
		}
		pods, err := s.pods(home, p.NamespaceSelector, p.PodSelector)
		if err != nil {
			return nil, err
		}
		if len(pods) > 0 {
			all = append(all, peer{condition: d.far + " " + addresses(pods), pods: pods})
		}
	}
	return all, nil
}

// block is the condition of a block, or empty for one of IPv6.
func block(d direction, b *networkingv1.IPBlock) (string, error) {
	all, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return "", fmt.Errorf("read an ipBlock: %w", err)
	}
	if !all.Addr().Is4() {
		return "", nil
	}
	conditions := []string{d.far + " " + all.Masked().String()}
	for _, e := range b.Except {
		except, err := netip.ParsePrefix(e)
		if err != nil {
			return "", fmt.Errorf("read an exception of an ipBlock: %w", err)
		}
		conditions = append(conditions, d.far+" != "+except.Masked().String())
	}
	return strings.Join(conditions, " "), nil
}

// addresses are those of pods as a set.
func addresses(pods []Pod) string {
	var all []string
	for _, p := range pods {
		all = append(all, p.Address.String())
	}
	slices.Sort(all)
	return "{ " + strings.Join(slices.Compact(all), ", ") + " }"
}

// ports are the conditions of a rule's ports, one of which has to hold. servers
// are the pods at which a port with a name is looked up.
func ports(from []networkingv1.NetworkPolicyPort, servers []Pod) []string {
	if len(from) == 0 {
		return []string{""}
	}
	var all []string
	for _, p := range from {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		name := strings.ToLower(string(protocol))
		switch {
		case p.Port == nil:
			all = append(all, "meta l4proto "+name)
		case p.Port.Type == intstr.String:
			all = append(all, named(p.Port.StrVal, protocol, servers)...)
		case p.EndPort != nil:
			all = append(all, fmt.Sprintf("%s dport %d-%d", name, p.Port.IntVal, *p.EndPort))
		default:
			all = append(all, fmt.Sprintf("%s dport %d", name, p.Port.IntVal))
		}
	}
	return all
}

// named are the conditions of a port with a name, which may be another number at
// every pod.
func named(name string, protocol corev1.Protocol, servers []Pod) []string {
	var all []string
	for _, pod := range servers {
		if pod.Object == nil {
			continue
		}
		for _, c := range slices.Concat(pod.Object.Spec.InitContainers, pod.Object.Spec.Containers) {
			for _, p := range c.Ports {
				if p.Name == name && p.Protocol == protocol {
					all = append(all, fmt.Sprintf("ip daddr %s %s dport %d", pod.Address, strings.ToLower(string(protocol)), p.ContainerPort))
				}
			}
		}
	}
	return all
}
