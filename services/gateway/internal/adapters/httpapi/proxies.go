package httpapi

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of proxies whose word about their clients is taken.
type Proxies []netip.Prefix

// NewProxies reads networks as "10.0.0.0/8", or single addresses.
func NewProxies(networks []string) (Proxies, error) {
	var p Proxies
	for _, text := range networks {
		network, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("trusted proxies: %q is no network as 10.0.0.0/8", text)
		}
		p = append(p, network)
	}
	return p, nil
}

func (p Proxies) trusts(address netip.Addr) bool {
	for _, network := range p {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// clientOf is where a request comes from: its peer or, where that is a trusted
// proxy, who that says it is, and so on along the chain. What stands before the
// first address that no trusted proxy vouches for, anybody may have written.
func (p Proxies) clientOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	client := peer.Addr().Unmap().WithZone("")
	if err != nil || !p.trusts(client) {
		return client
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(chain) {
		address, err := forwarded(hop)
		if err != nil {
			return client
		}
		if client = address; !p.trusts(client) {
			return client
		}
	}
	return client
}

// forwarded reads an address as proxies write it: with or without a port, IPv6 in
// brackets or not.
func forwarded(text string) (netip.Addr, error) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone(""), nil
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return address.Unmap().WithZone(""), err
}
