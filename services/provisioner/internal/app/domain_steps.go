package app

import (
	"context"

	"github.com/orchard9/rdev/libs/contract"
)

// Hosts keeps which host is which project's, in this installation.
type Hosts interface {
	// Owner is the project that has a host, "" where none has.
	Owner(ctx context.Context, host string) (slug string, err error)
	// Claim makes a host a project's, unless it is another's: the one whose it is then is
	// returned.
	Claim(ctx context.Context, slug, host string) (owner string, err error)
	// Free ends a project's claim. Where it has none that is fine.
	Free(ctx context.Context, slug, host string) error
}

// Domains are the steps of a project's hosts: that each is its own, the record in the DNS
// where that is in reach, and the route to the workspace. dns and routes are nil where the
// installation has none.
func Domains(hosts Hosts, dns DNS, routes Routes) []Family {
	all := func(_, target contract.ProjectSpec) (names []string) {
		for _, domain := range target.Domains {
			names = append(names, domain.Host)
		}
		return names
	}
	inZone := func(before, target contract.ProjectSpec) (names []string) {
		for _, host := range all(before, target) {
			if dns != nil && dns.Zone(host) {
				names = append(names, host)
			}
		}
		return names
	}
	return []Family{
		{Name: contract.ResourceHost, Subjects: all, Step: func(host string) Step { return HostStep{hosts, host} }},
		{Name: contract.ResourceDNS, Subjects: inZone, Step: func(host string) Step { return DNSStep{dns, host} }},
		{Name: contract.ResourceRoute, Subjects: all, Step: func(host string) Step { return RouteStep{routes, host} }},
	}
}

// HostStep makes a host a project's.
type HostStep struct {
	Hosts Hosts
	Host  string
}

// Name implements Step.
func (s HostStep) Name() string { return contract.ResourceHost + "/" + s.Host }

// Needs implements Step.
func (HostStep) Needs() []string { return nil }

// Plan implements Step.
func (s HostStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	owner, err := s.Hosts.Owner(ctx, s.Host)
	if err == nil {
		err = s.taken(owner, t)
	}
	return contract.ProvisionCreate, "domain " + s.Host, err
}

// Apply implements Step.
func (s HostStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	owner, err := s.Hosts.Claim(ctx, t.Slug, s.Host)
	if err != nil {
		return nil, err
	}
	return nil, s.taken(owner, t)
}

// taken says whose a host is that is not the project's.
func (s HostStep) taken(owner string, t Task) error {
	if owner != "" && owner != t.Slug {
		return refusal("%s is a domain of another project: choose another", s.Host)
	}
	return nil
}

// Undo implements Step.
func (s HostStep) Undo(ctx context.Context, t Task) error { return s.Hosts.Free(ctx, t.Slug, s.Host) }

// Verify implements Step.
func (s HostStep) Verify(ctx context.Context, t Task) ([]string, error) {
	owner, err := s.Hosts.Owner(ctx, s.Host)
	if err == nil && owner != t.Slug {
		return []string{s.Host + " is not noted as the project's"}, nil
	}
	return nil, err
}

// DNSStep makes the record of a host.
type DNSStep struct {
	DNS  DNS // nil where the installation has none
	Host string
}

// Name implements Step.
func (s DNSStep) Name() string { return contract.ResourceDNS + "/" + s.Host }

// Needs implements Step.
func (s DNSStep) Needs() []string { return []string{contract.ResourceHost + "/" + s.Host} }

// Plan implements Step.
func (s DNSStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	what, err := s.DNS.Plan(ctx, t.Slug, s.Host)
	return contract.ProvisionCreate, what, err
}

// Apply implements Step.
func (s DNSStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	record, err := s.DNS.Create(ctx, t.Slug, s.Host)
	return map[string]string{contract.ExternalID: record}, err
}

// Undo implements Step.
func (s DNSStep) Undo(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	return s.DNS.Remove(ctx, t.Slug, s.Host)
}

// Verify implements Step.
func (s DNSStep) Verify(ctx context.Context, t Task) ([]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	return s.DNS.Verify(ctx, t.Slug, s.Host)
}

func (s DNSStep) available() error {
	if s.DNS == nil {
		return unavailable("records of the DNS", "set PROVISIONER_CLOUDFLARE_ZONES")
	}
	return nil
}

// RouteStep leads what comes in for a host to the project.
type RouteStep struct {
	Routes Routes // nil where the installation has none
	Host   string
}

// Name implements Step.
func (s RouteStep) Name() string { return contract.ResourceRoute + "/" + s.Host }

// Needs implements Step.
func (s RouteStep) Needs() []string {
	return []string{contract.ResourceHost + "/" + s.Host, contract.ResourceWorkspace}
}

// Plan implements Step.
func (s RouteStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	if err := s.available(); err != nil {
		return "", "", err
	}
	what, err := s.Routes.Plan(ctx, t.Slug, s.Host)
	return contract.ProvisionCreate, what, err
}

// Apply implements Step.
func (s RouteStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	url, err := s.Routes.Create(ctx, t.Slug, s.Host)
	return map[string]string{contract.ExternalURL: url}, err
}

// Undo implements Step.
func (s RouteStep) Undo(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	return s.Routes.Remove(ctx, t.Slug, s.Host)
}

// Verify implements Step.
func (s RouteStep) Verify(ctx context.Context, t Task) ([]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	return s.Routes.Verify(ctx, t.Slug, s.Host)
}

func (s RouteStep) available() error {
	if s.Routes == nil {
		return unavailable("domains", "set PROVISIONER_DOMAIN")
	}
	return nil
}
