package domain

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Scope is something that a key may do.
type Scope string

// The scopes.
const (
	ProjectsRead      Scope = "projects:read"
	ProjectsWrite     Scope = "projects:write"
	CommandsRun       Scope = "commands:run"
	WorkRead          Scope = "work:read"
	WorkWrite         Scope = "work:write"
	OperationsRead    Scope = "operations:read"
	OperationsCancel  Scope = "operations:cancel"
	OperationsApprove Scope = "operations:approve" // what waits for somebody's approval
	WebhooksRead      Scope = "webhooks:read"
	WebhooksWrite     Scope = "webhooks:write"
	CredentialsRead   Scope = "credentials:read"
	CredentialsWrite  Scope = "credentials:write"
	BudgetsWrite      Scope = "budgets:write" // of projects
	KeysAdmin         Scope = "keys:admin"    // over keys that may do no more than itself
	AuditRead         Scope = "audit:read"    // what happened to keys, too
	Admin             Scope = "admin"         // everything
)

// Scopes are all that there are.
func Scopes() []Scope {
	return []Scope{
		ProjectsRead, ProjectsWrite, CommandsRun, WorkRead, WorkWrite, OperationsRead, OperationsCancel, OperationsApprove,
		WebhooksRead, WebhooksWrite, CredentialsRead, CredentialsWrite, BudgetsWrite, KeysAdmin, AuditRead, Admin,
	}
}

// Grant is what a key may do, and where and from where. The zero Grant may do
// nothing, in every project and from everywhere.
type Grant struct {
	scopes   map[Scope]bool
	projects []string
	networks []netip.Prefix
}

// NewGrant reads a grant. Scopes may be written as "work:*". An error names the
// field, as the API calls it, and what is wrong with it.
func NewGrant(scopes, projects, networks []string) (Grant, *GrantError) {
	g := Grant{scopes: map[Scope]bool{}, projects: projects}
	for i, text := range scopes {
		found := false
		for _, scope := range Scopes() {
			family, all := strings.CutSuffix(text, "*")
			if text == string(scope) || all && strings.HasSuffix(family, ":") && strings.HasPrefix(string(scope), family) {
				g.scopes[scope], found = true, true
			}
		}
		if !found {
			return g, &GrantError{fmt.Sprintf("scopes[%d]", i), fmt.Sprintf("%q is no scope; there are %s", text, joined(Scopes()))}
		}
	}
	for i, pattern := range projects {
		if !isPattern(pattern) {
			return g, &GrantError{fmt.Sprintf("projects[%d]", i), fmt.Sprintf("%q must be the slug of a project, or a pattern as \"ci-*\"", pattern)}
		}
	}
	for i, text := range networks {
		network, err := parseNetwork(text)
		if err != nil {
			return g, &GrantError{fmt.Sprintf("allowed_ips[%d]", i), fmt.Sprintf("%q must be an address, or a network as \"10.0.0.0/8\"", text)}
		}
		g.networks = append(g.networks, network)
	}
	return g, nil
}

// GrantError says what is wrong with one field of a grant.
type GrantError struct{ Field, Message string }

// Error implements error.
func (e *GrantError) Error() string { return e.Field + " " + e.Message }

func joined(scopes []Scope) string {
	texts := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		texts = append(texts, string(scope))
	}
	return strings.Join(texts, ", ")
}

// Has tells whether a scope is granted.
func (g Grant) Has(scope Scope) bool { return g.scopes[scope] || g.scopes[Admin] }

// Everywhere tells whether all projects are granted.
func (g Grant) Everywhere() bool { return len(g.projects) == 0 }

// Projects are the slugs and patterns of projects that are granted; all where
// there are none.
func (g Grant) Projects() []string { return g.projects }

// Sees tells whether a project is granted. What belongs to none is seen by a grant
// of all.
func (g Grant) Sees(project string) bool {
	return g.Everywhere() || project != "" && g.covers(project)
}

func (g Grant) covers(pattern string) bool {
	return slices.ContainsFunc(g.projects, func(granted string) bool { return Match(granted, pattern) })
}

// From tells whether an address is granted.
func (g Grant) From(address netip.Addr) bool {
	address = address.Unmap()
	return len(g.networks) == 0 || slices.ContainsFunc(g.networks, func(n netip.Prefix) bool { return n.Contains(address) })
}

// Within tells whether another grant allows all that this one does: whoever has
// that may give this. From where it is used does not matter.
func (g Grant) Within(other Grant) bool {
	for scope := range g.scopes {
		if !other.Has(scope) {
			return false
		}
	}
	if other.Everywhere() {
		return true
	}
	return !g.Everywhere() && !slices.ContainsFunc(g.projects, func(p string) bool { return !other.covers(p) })
}

// Match tells whether a pattern, in which * stands for any text without slashes,
// matches all of a text. A * of the text is matched by a * alone: so a pattern that
// matches another covers all that the other does.
func Match(pattern, text string) bool {
	matched, err := path.Match(pattern, text)
	return matched && err == nil
}

const maxPattern = 40

func isPattern(text string) bool {
	if text == "" || len(text) > maxPattern {
		return false
	}
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '*' {
			return false
		}
	}
	return true
}

// parseNetwork takes a network, or one address.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, err
	}
	if mapped := network.Addr(); mapped.Is4In6() {
		if network.Bits() < 96 {
			return network, fmt.Errorf("%s is wider than the IPv4 addresses in it", text)
		}
		network = netip.PrefixFrom(mapped.Unmap(), network.Bits()-96)
	}
	return network.Masked(), nil
}
