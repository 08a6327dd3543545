package domain_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

func grant(t *testing.T, scopes, projects, networks string) domain.Grant {
	t.Helper()
	g, err := domain.NewGrant(strings.Fields(scopes), strings.Fields(projects), strings.Fields(networks))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestScopes(t *testing.T) {
	for scopes, want := range map[string][]domain.Scope{
		"":                                 nil,
		"commands:run":                     {domain.CommandsRun},
		"projects:*":                       {domain.ProjectsRead, domain.ProjectsWrite},
		"operations:read operations:*":     {domain.OperationsRead, domain.OperationsCancel, domain.OperationsApprove},
		"keys:admin audit:read":            {domain.KeysAdmin, domain.AuditRead},
		"admin":                            domain.Scopes(),
		"webhooks:write credentials:write": {domain.WebhooksWrite, domain.CredentialsWrite},
	} {
		g := grant(t, scopes, "", "")
		for _, scope := range domain.Scopes() {
			if g.Has(scope) != slices.Contains(want, scope) {
				t.Errorf("%q has %s: %t", scopes, scope, g.Has(scope))
			}
		}
	}
	for _, wrong := range []string{"projects", "projects:", "*", ":*", "project:*", "projects:rea*", "ADMIN", "admin ", "admin:*", "operations:write", ""} {
		if _, err := domain.NewGrant([]string{"admin", wrong}, nil, nil); err == nil || err.Field != "scopes[1]" {
			t.Errorf("%q is taken for a scope: %v", wrong, err)
		}
	}
}

func TestProjects(t *testing.T) {
	for _, c := range []struct {
		patterns, sees, not string
	}{
		{"shop", "shop", "sho shop2 sshop shop-a"},
		{"ci-*", "ci- ci-1 ci-a-b", "ci xci-1 cia"},
		{"*-test *-ci", "a-test a-b-ci -test", "test a-tests"},
		{"a*b*c", "abc axbxc abbcc", "ab abcd bac ac"},
		{"*", "a anything", ""},
		{"ab*ba", "abba abxba", "aba ab"},
		{"", "a b", ""},
	} {
		g := grant(t, "", c.patterns, "")
		for project := range strings.FieldsSeq(c.sees) {
			if !g.Sees(project) {
				t.Errorf("%q does not see %s", c.patterns, project)
			}
		}
		for project := range strings.FieldsSeq(c.not) {
			if g.Sees(project) {
				t.Errorf("%q sees %s", c.patterns, project)
			}
		}
		if g.Sees("") != g.Everywhere() {
			t.Errorf("%q sees what belongs to no project: %t", c.patterns, g.Sees(""))
		}
	}
	for _, wrong := range []string{"", "Shop", "a.b", "a b", "a%", "a_b", strings.Repeat("a", 41), "é"} {
		if _, err := domain.NewGrant(nil, []string{"shop", wrong}, nil); err == nil || err.Field != "projects[1]" {
			t.Errorf("%q is taken for a pattern: %v", wrong, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct{ networks, from, not string }{
		{"", "10.0.0.1 ::1 2001:db8::1", ""},
		{"10.0.0.0/8 192.168.1.7", "10.1.2.3 192.168.1.7 ::ffff:10.9.9.9", "11.0.0.1 192.168.1.8 ::1 ::ffff:11.0.0.1"},
		{"10.1.2.3/8", "10.255.0.1", "9.1.2.3"},
		{"2001:db8::/32 ::1", "2001:db8:1::2 ::1", "2001:db9::1 127.0.0.1"},
		{"::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"},
		{"0.0.0.0/0", "1.2.3.4", "::1"},
	} {
		g := grant(t, "", "", c.networks)
		for address := range strings.FieldsSeq(c.from) {
			if !g.From(netip.MustParseAddr(address)) {
				t.Errorf("%q is closed to %s", c.networks, address)
			}
		}
		for address := range strings.FieldsSeq(c.not) {
			if g.From(netip.MustParseAddr(address)) {
				t.Errorf("%q is open to %s", c.networks, address)
			}
		}
		if c.networks != "" && g.From(netip.Addr{}) {
			t.Errorf("%q is open to who comes from nowhere", c.networks)
		}
	}
	for _, wrong := range []string{"", "10.0.0.0/33", "10.0.0", "localhost", "fe80::1%eth0", "::ffff:0.0.0.0/95", "10.0.0.0/-1", "10.0.0.0/8 "} {
		if _, err := domain.NewGrant(nil, nil, []string{wrong}); err == nil || err.Field != "allowed_ips[0]" {
			t.Errorf("%q is taken for a network: %v", wrong, err)
		}
	}
}

func TestWithinIsNeverMoreThanTheOtherAllows(t *testing.T) {
	grants := []domain.Grant{
		grant(t, "admin", "", ""), grant(t, "admin", "shop", ""), grant(t, "commands:run operations:read", "", ""),
		grant(t, "commands:run", "shop", ""), grant(t, "commands:run", "ci-*", ""), grant(t, "commands:run", "ci-1*", ""),
		grant(t, "commands:run", "*", ""), grant(t, "commands:run", "ci-1 ci-2", ""), grant(t, "keys:admin", "", ""), grant(t, "operations:*", "*-1 shop", ""),
		grant(t, "commands:run", "c*-*1", ""),
	}
	projects := []string{"", "shop", "ci-", "ci-1", "ci-2", "ci-11", "a-1", "c-1", "other"}
	for i, one := range grants {
		if !one.Within(one) {
			t.Errorf("grant %d is not within itself", i)
		}
		for j, other := range grants {
			if !one.Within(other) {
				continue
			}
			for _, scope := range domain.Scopes() {
				if one.Has(scope) && !other.Has(scope) {
					t.Errorf("grant %d is within %d and has %s", i, j, scope)
				}
			}
			for _, project := range projects {
				if one.Sees(project) && !other.Sees(project) {
					t.Errorf("grant %d is within %d and sees %q", i, j, project)
				}
			}
		}
	}
	if !grants[5].Within(grants[4]) || grants[4].Within(grants[5]) || !grants[7].Within(grants[4]) || grants[2].Within(grants[6]) || !grants[1].Within(grants[0]) || grants[0].Within(grants[1]) {
		t.Error("what is within what is wrong")
	}
}

// FuzzNewGrant checks that what is taken for a grant is one that can be used.
func FuzzNewGrant(f *testing.F) {
	f.Add("admin", "ci-*", "10.0.0.0/8", "ci-1", []byte{10, 1, 1, 1})
	f.Add("x:*", "**", "::ffff:1.2.3.4/100", "", []byte{})
	f.Fuzz(func(t *testing.T, scope, project, network, slug string, from []byte) {
		g, err := domain.NewGrant([]string{scope}, []string{project}, []string{network})
		if err != nil {
			return
		}
		address, _ := netip.AddrFromSlice(from)
		g.From(address)
		if g.Sees(slug) && !domain.Match(project, slug) || g.Everywhere() || !g.Within(g) {
			t.Errorf("%q %q %q", scope, project, network)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for b.Loop() {
		domain.Match("ci-*-test", "ci-some-project-test")
	}
}
