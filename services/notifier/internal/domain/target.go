package domain

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrTargetNotAllowed is wrapped where an address is one that nobody outside
// may have rdev talk to.
var ErrTargetNotAllowed = errors.New("target not allowed")

// Limits of the URL of an endpoint, in bytes.
const (
	maxURL   = 2048
	maxHost  = 253
	maxLabel = 63
)

// Targets decides which addresses requests may go to.
type Targets struct {
	// Allow are networks that are allowed although they are private.
	Allow []netip.Prefix
}

// reserved are the networks that no public endpoint is in, besides those that
// net/netip has a word for, and all of IPv6 but 2000::/3.
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),        // this network
		netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT; metadata at Alibaba
		netip.MustParsePrefix("168.63.129.16/32"), // metadata at Azure
		netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; metadata at Oracle
		netip.MustParsePrefix("192.0.2.0/24"),     // documentation
		netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
		netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"),  // documentation
		netip.MustParsePrefix("203.0.113.0/24"),   // documentation
		netip.MustParsePrefix("240.0.0.0/4"),      // reserved, broadcast
		netip.MustParsePrefix("2001::/23"),        // protocol assignments, Teredo
		netip.MustParsePrefix("2001:db8::/32"),    // documentation
		netip.MustParsePrefix("2002::/16"),        // 6to4: leads to IPv4
		netip.MustParsePrefix("3fff::/20"),        // documentation
	}
}

// global is where the public addresses of IPv6 are. Outside are those that wrap
// IPv4, as NAT64 and IPv4-compatible ones, and all that is local.
func global() netip.Prefix { return netip.MustParsePrefix("2000::/3") }

// Check returns nil where a request may go to an address.
func (t Targets) Check(address netip.Addr) error {
	zone := address.Zone()
	address = address.WithZone("").Unmap()
	holds := func(p netip.Prefix) bool { return p.Contains(address) }
	if slices.ContainsFunc(t.Allow, holds) {
		return nil
	}
	public := address.IsGlobalUnicast() && !address.IsPrivate() && !slices.ContainsFunc(reserved(), holds) &&
		(address.Is4() || zone == "" && global().Contains(address) && !isatap(address))
	if !public {
		return fmt.Errorf("%w: %s is not public", ErrTargetNotAllowed, address)
	}
	return nil
}

// isatap tells whether an address of IPv6 wraps one of IPv4 as ISATAP does, in
// whatever network: ::0:5efe:7f00:1 or ::200:5efe:7f00:1.
func isatap(address netip.Addr) bool {
	b := address.As16()
	return b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// CheckURL returns what is wrong with the URL of an endpoint, as far as that can
// be told without asking DNS: names are checked whenever a connection is made.
// Whatever one program could read otherwise than another is refused.
func (t Targets) CheckURL(raw string) error {
	if raw == "" {
		return errors.New("is required")
	}
	if len(raw) > maxURL {
		return fmt.Errorf("has more than %d bytes", maxURL)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return errors.New("must not have spaces, control characters or backslashes")
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
	if u.Port() != "" {
		if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return errors.New("has a port that is none of 1 to 65535")
		}
	}
	return t.checkHost(strings.ToLower(u.Hostname()))
}

// checkHost returns what is wrong with a host in lower case and without brackets.
func (t Targets) checkHost(host string) error {
	if address, err := netip.ParseAddr(host); err == nil {
		return t.Check(address)
	}
	name := strings.TrimSuffix(host, ".")
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	switch {
	case isNumber(last):
		// 127.1, 0x7f000001, 0177.0.0.1, 127.0.0.1.: a resolver may take them for an
		// address, and not each for the same.
		if address, err := netip.ParseAddr(name); err == nil {
			return t.Check(address)
		}
		return fmt.Errorf("%w: an address of IPv4 is written as four decimal numbers", ErrTargetNotAllowed)
	case len(name) > maxHost || slices.ContainsFunc(labels, func(l string) bool { return l == "" || len(l) > maxLabel }):
		return errors.New("has a host that is no name")
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return errors.New("has a host that is no name of letters, digits, hyphens and dots; an international one is written as xn--")
	case last == "localhost":
		_, err := t.Localhost()
		return err
	}
	return nil
}

// Localhost returns the allowed ones of the addresses that localhost stands for,
// whatever DNS says, or why there is none.
func (t Targets) Localhost() ([]netip.Addr, error) {
	var allowed []netip.Addr
	var err error
	for _, address := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		if refused := t.Check(address); refused == nil {
			allowed = append(allowed, address)
		} else if err == nil {
			err = refused
		}
	}
	if len(allowed) > 0 {
		return allowed, nil
	}
	return nil, err
}

// isNumber tells whether the last label of a host makes it an address of IPv4 to
// some resolver: 1, 0x7f, 0177, 4294967295.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}
