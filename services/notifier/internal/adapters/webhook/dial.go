package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Resolver looks up the addresses of names; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// dialFunc opens a connection to an address, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// guard opens connections to allowed targets alone. A name is looked up once for
// each connection, and the connection goes to an address that was checked: a name
// that leads elsewhere the second time gains nothing.
type guard struct {
	targets  domain.Targets
	resolver Resolver
	dial     dialFunc
	patience time.Duration // for one connection, with the look-up of its name
}

// direct dials without a proxy. The kernel's address is checked once more.
func direct(targets domain.Targets) dialFunc {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %s", domain.ErrTargetNotAllowed, address)
		}
		return targets.Check(target.Addr())
	}}
	return dialer.DialContext
}

// DialContext connects to address, a host and a port.
func (g *guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", domain.ErrTargetNotAllowed, err)
	}
	addresses, err := g.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var first error
	for i, candidate := range addresses {
		conn, err := g.try(ctx, network, net.JoinHostPort(candidate.String(), port), len(addresses)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// try dials one of the addresses that are left, and leaves time for the others.
func (g *guard) try(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	conn, err := g.dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// addresses are those of a host, all of which are allowed.
func (g *guard) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if address, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{address.Unmap()}, g.targets.Check(address)
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return g.targets.Localhost()
	}
	addresses, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up: %w", err)
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("look up: %s has no address", host)
	}
	for i, address := range addresses {
		if err := g.targets.Check(address); err != nil {
			return nil, err
		}
		addresses[i] = address.Unmap()
	}
	return addresses, nil
}
