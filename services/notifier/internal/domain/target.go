package domain

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// ErrTargetNotAllowed is wrapped where an address is one that nobody outside
// may have rdev talk to.
var ErrTargetNotAllowed = errors.New("target not allowed")

// maxURL is the most that the URL of an endpoint may have, in bytes.
const maxURL = 2048

// Targets decides which addresses requests may go to.
type Targets struct {
	// Allow are networks that are allowed although they are private.
	Allow []netip.Prefix
}

// reserved are the networks that no public endpoint is in, besides those that
// net/netip has a word for.
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),       // this network
		netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT
		netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
		netip.MustParsePrefix("192.0.2.0/24"),    // documentation
		netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
		netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"), // documentation
		netip.MustParsePrefix("203.0.113.0/24"),  // documentation
		netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
		netip.MustParsePrefix("::/96"),           // IPv4-compatible
		netip.MustParsePrefix("64:ff9b::/96"),    // NAT64: leads to IPv4
		netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64, local
		netip.MustParsePrefix("100::/64"),        // discard
		netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
		netip.MustParsePrefix("2001:db8::/32"),   // documentation
		netip.MustParsePrefix("2002::/16"),       // 6to4: leads to IPv4
		netip.MustParsePrefix("fec0::/10"),       // site-local
	}
}

// Check returns nil where a request may go to an address.
func (t Targets) Check(address netip.Addr) error {
	address = address.WithZone("").Unmap()
	holds := func(p netip.Prefix) bool { return p.Contains(address) }
	if slices.ContainsFunc(t.Allow, holds) {
		return nil
	}
	if !address.IsGlobalUnicast() || address.IsPrivate() || slices.ContainsFunc(reserved(), holds) {
		return fmt.Errorf("%w: %s is not public", ErrTargetNotAllowed, address)
	}
	return nil
}

// CheckURL returns what is wrong with the URL of an endpoint, as far as that can
// be told without asking DNS: names are checked whenever a connection is made.
func (t Targets) CheckURL(raw string) error {
	if raw == "" {
		return errors.New("is required")
	}
	if len(raw) > maxURL {
		return fmt.Errorf("has more than %d bytes", maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must begin with https:// or http://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("must not carry a user or password")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return t.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return t.Check(address)
	}
	return nil
}
