package httpapi

import (
	"net/http"
	"net/netip"
	"testing"
)

func from(peer string, chain ...string) *http.Request {
	return &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": chain}}
}

func TestOnlyWhatTrustedProxiesSayCounts(t *testing.T) {
	proxies, err := NewProxies([]string{"10.0.0.0/8", "fd00::/8", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		request *http.Request
		want    string
	}{
		{from("203.0.113.1:80", "1.1.1.1"), "203.0.113.1"}, // no proxy of ours
		{from("10.1.1.1:80"), "10.1.1.1"},
		{from("10.1.1.1:80", "1.1.1.1"), "1.1.1.1"},
		{from("[::ffff:10.1.1.1]:80", "1.1.1.1"), "1.1.1.1"},
		{from("[fd00::1%eth0]:80", "2001:db8::1"), "2001:db8::1"},
		{from("192.0.2.7:80", "1.1.1.1"), "1.1.1.1"},
		{from("10.1.1.1:80", "6.6.6.6, 1.1.1.1, 10.2.2.2"), "1.1.1.1"},
		{from("10.1.1.1:80", "6.6.6.6", "1.1.1.1", "10.2.2.2"), "1.1.1.1"}, // a header for each hop
		{from("10.1.1.1:80", "1.1.1.1:4711"), "1.1.1.1"},
		{from("10.1.1.1:80", "[2001:db8::1]:4711"), "2001:db8::1"},
		{from("10.1.1.1:80", "[2001:db8::1]"), "2001:db8::1"},
		{from("10.1.1.1:80", "1.1.1.1, unknown"), "10.1.1.1"},
		{from("10.1.1.1:80", "1.1.1.1,,"), "10.1.1.1"},
		{from("10.1.1.1:80", "10.3.3.3, 10.2.2.2"), "10.3.3.3"},
	} {
		if got := proxies.clientOf(c.request); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s by %q: %s, want %s", c.request.RemoteAddr, c.request.Header, got, c.want)
		}
	}
	if got := proxies.clientOf(from("@", "1.1.1.1")); got.IsValid() {
		t.Errorf("who has no address comes from %s", got)
	}
	for _, wrong := range []string{"", "10.0.0.0/40", "proxy.example"} {
		if _, err := NewProxies([]string{wrong}); err == nil {
			t.Errorf("%q is taken for a network", wrong)
		}
	}
}

// FuzzClientOf checks that a header changes nothing where no proxy is trusted, and
// that what stands left of the first address of a stranger changes nothing ever.
func FuzzClientOf(f *testing.F) {
	f.Add("10.1.1.1:80", "6.6.6.6, 1.1.1.1", "7.7.7.7, ")
	f.Add("[::1]:1", "[::1]:2, 1.2.3.4%x", "")
	proxies := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, peer, chain, forged string) {
		direct := Proxies(nil).clientOf(from(peer))
		if got := Proxies(nil).clientOf(from(peer, chain)); got != direct {
			t.Errorf("%q by %q without proxies: %s, want %s", peer, chain, got, direct)
		}
		plain := proxies.clientOf(from(peer, chain))
		if plain.IsValid() && !proxies.trusts(plain) && proxies.clientOf(from(peer, forged, chain)) != plain {
			t.Errorf("%q by %q: %q before it makes %s of %s", peer, chain, forged, proxies.clientOf(from(peer, forged, chain)), plain)
		}
	})
}
