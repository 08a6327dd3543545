package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is the table with all the rules.
const Table = "testcluster-policies"

// Ruleset is a file for nft that puts these rules in the place of those before,
// in one step. The same state makes the same file.
func (s State) Ruleset() (string, error) {
	var w strings.Builder
	// It is added first so that it is there to be deleted.
	fmt.Fprintf(&w, "add table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", Table)
	isolated := map[string][]string{} // by direction, elements of its map
	for _, d := range directions() {
		chains, err := s.chains(d)
		if err != nil {
			return "", err
		}
		for _, name := range slices.Sorted(maps.Keys(chains.policies)) {
			chain(&w, name, chains.policies[name])
		}
		for _, address := range slices.Sorted(maps.Keys(chains.pods)) {
			name := d.name + "-" + address
			chain(&w, name, append(chains.pods[address], "drop"))
			isolated[d.name] = append(isolated[d.name], address+" : goto "+name)
		}
	}
	set(&w, "map egress", "ipv4_addr : verdict", isolated["egress"])
	set(&w, "map ingress", "ipv4_addr : verdict", isolated["ingress"])
	set(&w, "set same", "ipv4_addr . ipv4_addr", s.same())
	chain(&w, "forward-egress", base("forward", 0, "ip saddr . ip daddr @same accept", "ip saddr vmap @egress"))
	chain(&w, "forward-ingress", base("forward", 1, "ip saddr . ip daddr @same accept", "ip daddr vmap @ingress"))
	chain(&w, "input-egress", base("input", 0, "ip saddr vmap @egress"))
	w.WriteString("}\n")
	return w.String(), nil
}

// base is what a chain at a hook has: its verdict accept ends this chain, and
// later ones still decide.
func base(hook string, priority int, rules ...string) []string {
	return append([]string{
		fmt.Sprintf("type filter hook %s priority %d; policy accept;", hook, priority),
		`iifname "lo" accept`,
		"meta nfproto ipv6 drop",
		"ct state established,related accept",
	}, rules...)
}

// chains are those of a direction.
type chains struct {
	policies map[string][]string // by name: accept what the policy allows
	pods     map[string][]string // by address: jump to the chains of the pod's policies
}

func (s State) chains(d direction) (chains, error) {
	c := chains{policies: map[string][]string{}, pods: map[string][]string{}}
	for _, pod := range s.Pods {
		if pod.Object == nil {
			c.pods[pod.Address.String()] = nil
		}
	}
	for _, p := range s.Policies {
		if !d.in(p) {
			continue
		}
		selected, err := s.selected(p)
		var rules []string
		if err == nil {
			rules, err = s.rules(d, p, selected)
		}
		if err != nil {
			return chains{}, fmt.Errorf("network policy %s/%s: %w", p.Namespace, p.Name, err)
		}
		name := d.name + "-" + string(p.UID)
		c.policies[name] = rules
		for _, pod := range selected {
			address := pod.Address.String()
			c.pods[address] = append(c.pods[address], "jump "+name)
		}
	}
	for _, jumps := range c.pods {
		slices.Sort(jumps)
	}
	return c, nil
}

// same are the ways of pods to themselves by a Service, which no policy forbids.
func (s State) same() []string {
	var all []string
	for _, pod := range s.Pods {
		if pod.Object != nil {
			all = append(all, fmt.Sprintf("%[1]s . %[1]s", pod.Address))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func chain(w *strings.Builder, name string, rules []string) {
	fmt.Fprintf(w, "\tchain %s {\n", name)
	for _, r := range rules {
		fmt.Fprintf(w, "\t\t%s\n", r)
	}
	w.WriteString("\t}\n")
}

// set writes a set or map, which nft does not take with an empty list.
func set(w *strings.Builder, name, of string, elements []string) {
	fmt.Fprintf(w, "\t%s {\n\t\ttype %s\n", name, of)
	if len(elements) > 0 {
		fmt.Fprintf(w, "\t\telements = { %s }\n", strings.Join(elements, ", "))
	}
	w.WriteString("\t}\n")
}
