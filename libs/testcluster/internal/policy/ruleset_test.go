package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/orchard9/rdev/libs/testcluster/internal/policy"
)

const (
	egress  = networkingv1.PolicyTypeEgress
	ingress = networkingv1.PolicyTypeIngress
)

// state has web and db in the namespace shop, db with a port named sql, and dns
// in kube-system.
func state(specs ...networkingv1.NetworkPolicySpec) policy.State {
	s := policy.State{
		Pods: []policy.Pod{pod("10.0.0.1", "shop", "web"), pod("10.0.0.2", "shop", "db"), pod("10.0.0.3", "kube-system", "dns")},
		Namespaces: map[string]labels.Set{
			"shop": {"name": "shop"}, "kube-system": {"name": "kube-system"},
		},
	}
	s.Pods[1].Object.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{
		{Name: "sql", ContainerPort: 5432, Protocol: corev1.ProtocolTCP}, {Name: "sql", ContainerPort: 9, Protocol: corev1.ProtocolUDP},
	}}}
	for _, spec := range specs {
		s.Policies = append(s.Policies, &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "policy", UID: "uid"}, Spec: spec,
		})
	}
	return s
}

func pod(address, namespace, app string) policy.Pod {
	return policy.Pod{Address: netip.MustParseAddr(address), Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Labels: map[string]string{"app": app},
	}}}
}

func only(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func port(protocol corev1.Protocol, number intstr.IntOrString) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &number}
}

// chain are the rules of a chain of the ruleset, and whether there is one.
func chain(t *testing.T, s policy.State, name string) ([]string, bool) {
	t.Helper()
	rules, err := s.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(rules, "\tchain "+name+" {\n")
	body, _, _ := strings.Cut(rest, "\t}\n")
	var lines []string
	for line := range strings.Lines(body) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines, ok
}

func TestAPolicyIsolatesThePodsItSelectsInItsDirections(t *testing.T) {
	s := state(networkingv1.NetworkPolicySpec{PodSelector: *only("web"), PolicyTypes: []networkingv1.PolicyType{egress}})
	got, _ := chain(t, s, "egress-10.0.0.1")
	if diff := cmp.Diff([]string{"jump egress-uid", "drop"}, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"ingress-10.0.0.1", "egress-10.0.0.2", "egress-10.0.0.3"} {
		if _, ok := chain(t, s, name); ok {
			t.Errorf("there is a chain %s", name)
		}
	}
	if got, _ := chain(t, s, "egress-uid"); got != nil {
		t.Errorf("a policy without rules allows %v", got)
	}
	if rules, _ := s.Ruleset(); !strings.Contains(rules, "map egress {\n\t\ttype ipv4_addr : verdict\n\t\telements = { 10.0.0.1 : goto egress-10.0.0.1 }\n") {
		t.Errorf("nothing leads to the chain:\n%s", rules)
	}
}

func TestAPodThatIsNotKnownIsCutOff(t *testing.T) {
	s := state()
	s.Pods[0].Object = nil
	for _, name := range []string{"egress-10.0.0.1", "ingress-10.0.0.1"} {
		if got, _ := chain(t, s, name); !cmp.Equal(got, []string{"drop"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestARuleAllowsItsPeersAtItsPorts(t *testing.T) {
	end := int32(90)
	sql, tcp53, udp53 := port("TCP", intstr.FromString("sql")), port("TCP", intstr.FromInt32(53)), port("UDP", intstr.FromInt32(53))
	open := port("TCP", intstr.FromInt32(80))
	open.EndPort = &end
	peers := func(p ...networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer { return p }
	ports := func(p ...networkingv1.NetworkPolicyPort) []networkingv1.NetworkPolicyPort { return p }
	system := &metav1.LabelSelector{MatchLabels: map[string]string{"name": "kube-system"}}
	for name, c := range map[string]struct {
		peers           []networkingv1.NetworkPolicyPeer
		ports           []networkingv1.NetworkPolicyPort
		egress, ingress []string
	}{
		"everybody": {nil, nil, []string{"accept"}, []string{"accept"}},
		"pods of the policy's namespace": {
			peers(networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}), nil,
			[]string{"ip daddr { 10.0.0.1, 10.0.0.2 } accept"},
			[]string{"ip saddr { 10.0.0.1, 10.0.0.2 } accept"},
		},
		"pods of another namespace, at a port of two protocols": {
			peers(networkingv1.NetworkPolicyPeer{NamespaceSelector: system, PodSelector: only("dns")}), ports(udp53, tcp53),
			[]string{"ip daddr { 10.0.0.3 } udp dport 53 accept", "ip daddr { 10.0.0.3 } tcp dport 53 accept"},
			[]string{"ip saddr { 10.0.0.3 } udp dport 53 accept", "ip saddr { 10.0.0.3 } tcp dport 53 accept"},
		},
		"pods that are not there": {peers(networkingv1.NetworkPolicyPeer{NamespaceSelector: system, PodSelector: only("db")}), nil, nil, nil},
		"every pod of every namespace": {
			peers(networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}), ports(open),
			[]string{"ip daddr { 10.0.0.1, 10.0.0.2, 10.0.0.3 } tcp dport 80-90 accept"},
			[]string{"ip saddr { 10.0.0.1, 10.0.0.2, 10.0.0.3 } tcp dport 80-90 accept"},
		},
		"a block without a part of it, and one of IPv6": {
			peers(
				networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", "169.254.169.254/32"}}},
				networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "::/0"}},
			), ports(networkingv1.NetworkPolicyPort{}),
			[]string{"ip daddr 0.0.0.0/0 ip daddr != 10.0.0.0/8 ip daddr != 169.254.169.254/32 meta l4proto tcp accept"},
			[]string{"ip saddr 0.0.0.0/0 ip saddr != 10.0.0.0/8 ip saddr != 169.254.169.254/32 meta l4proto tcp accept"},
		},
		// The name is that of a port where the packet goes to: of web, which has none, for ingress.
		"a port with a name": {nil, ports(sql), []string{"ip daddr 10.0.0.2 tcp dport 5432 accept"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := state(networkingv1.NetworkPolicySpec{
				PodSelector: *only("web"), PolicyTypes: []networkingv1.PolicyType{egress, ingress},
				Egress:  []networkingv1.NetworkPolicyEgressRule{{To: c.peers, Ports: c.ports}},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: c.peers, Ports: c.ports}},
			})
			for name, want := range map[string][]string{"egress-uid": c.egress, "ingress-uid": c.ingress} {
				got, _ := chain(t, s, name)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
}
