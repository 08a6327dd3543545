package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

const secret = "whsec_c2VjcmV0"

// names is a resolver: its answers to each look-up in turn, the last for good.
type names struct {
	mu      sync.Mutex
	answers [][]netip.Addr
	asked   []string
}

func resolving(answers ...[]netip.Addr) *names { return &names{answers: answers} }

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, host)
	answer := n.answers[0]
	if len(n.answers) > 1 {
		n.answers = n.answers[1:]
	}
	return slices.Clone(answer), nil
}

func addresses(all ...string) []netip.Addr {
	var parsed []netip.Addr
	for _, a := range all {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	return parsed
}

var errNoNetwork = errors.New("this test has no network")

// dialed notes where connections would have gone.
type dialed struct {
	mu sync.Mutex
	to []string
}

func (d *dialed) dial(_ context.Context, _, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = append(d.to, address)
	return nil, errNoNetwork
}

func (d *dialed) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	to := d.to
	d.to = nil
	return to
}

// seams puts a resolver and a dialer in the place of the real ones.
func seams(r Resolver, dial dialFunc) Option {
	return func(s *settings) { s.resolver, s.dial = r, dial }
}

func loopback() domain.Targets {
	return domain.Targets{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

func newSender(t testing.TB, targets domain.Targets, options ...Option) *Sender {
	t.Helper()
	s := NewSender(targets, options...)
	t.Cleanup(s.Close)
	return s
}

func post(t testing.TB, s *Sender, url string) Outcome {
	t.Helper()
	return s.Post(t.Context(), Request{URL: url, Secrets: []string{secret}, ID: "e1", Body: []byte(`{}`)})
}

// known are the URLs of a file that the domain keeps.
func known(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../../domain/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if unquoted, err := strconv.Unquote(line); err == nil {
			line = unquoted
		}
		if line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// Also where nobody has checked the URL, and DNS takes whatever it is asked for a
// name of this machine.
func TestNoSpellingOfAnAddressWithinIsConnectedTo(t *testing.T) {
	for _, within := range []string{"127.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254", "fd00:ec2::254"} {
		var d dialed
		s := newSender(t, domain.Targets{}, seams(resolving(addresses(within)), d.dial))
		for _, url := range append(known(t, "refused.txt"), known(t, "names.txt")...) {
			outcome := post(t, s, url)
			if to := d.take(); len(to) > 0 || outcome.Err == nil || outcome.Status != 0 {
				t.Errorf("%q with DNS %s: dialed %v, got %+v", url, within, to, outcome)
			}
		}
	}
}

func TestANameIsLookedUpOnceAndAllOfItsAddressesAreChecked(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers [][]netip.Addr
		want    []string // dialed
	}{
		{"public", [][]netip.Addr{addresses("93.184.215.14")}, []string{"93.184.215.14:443"}},
		{"two, of which none answers", [][]netip.Addr{addresses("2606:4700::1111", "93.184.215.14")}, []string{"[2606:4700::1111]:443", "93.184.215.14:443"}},
		{"mapped", [][]netip.Addr{addresses("::ffff:93.184.215.14")}, []string{"93.184.215.14:443"}},
		{"rebinding", [][]netip.Addr{addresses("93.184.215.14"), addresses("127.0.0.1")}, []string{"93.184.215.14:443"}},
		{"private", [][]netip.Addr{addresses("10.0.0.1")}, nil},
		{"private after public", [][]netip.Addr{addresses("93.184.215.14", "169.254.169.254")}, nil},
		{"private before public", [][]netip.Addr{addresses("fd00:ec2::254", "93.184.215.14")}, nil},
		{"none", [][]netip.Addr{nil}, nil},
	} {
		var d dialed
		dns := resolving(c.answers...)
		outcome := post(t, newSender(t, domain.Targets{}, seams(dns, d.dial)), "https://hook.example.com/")
		if to := d.take(); !slices.Equal(to, c.want) || outcome.Err == nil {
			t.Errorf("%s: dialed %v, want %v; got %+v", c.name, to, c.want, outcome)
		}
		if refused := errors.Is(outcome.Err, domain.ErrTargetNotAllowed); refused != strings.HasPrefix(c.name, "private") {
			t.Errorf("%s: got %v", c.name, outcome.Err)
		}
		if !slices.Equal(dns.asked, []string{"hook.example.com"}) {
			t.Errorf("%s: DNS was asked for %v", c.name, dns.asked)
		}
	}
}

func TestLocalhostIsNotAskedOfDNS(t *testing.T) {
	var d dialed
	dns := resolving(addresses("93.184.215.14"))
	for url, want := range map[string][]string{
		"http://localhost:8080": {"127.0.0.1:8080"}, "http://a.localhost./": {"127.0.0.1:80"}, "http://127.0.0.1.": {"127.0.0.1:80"},
		"http://[::ffff:127.0.0.1]": {"127.0.0.1:80"}, "http://[::1]": nil,
	} {
		_ = post(t, newSender(t, loopback(), seams(dns, d.dial)), url)
		if to := d.take(); !slices.Equal(to, want) {
			t.Errorf("%s: dialed %v, want %v", url, to, want)
		}
	}
	if len(dns.asked) > 0 {
		t.Errorf("DNS was asked for %v", dns.asked)
	}
}

// The kernel's dialer has the last word, whatever the guard let through.
func TestAnAddressWithinIsRefusedWhenItIsDialed(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer server.Close()
	if conn, err := direct(domain.Targets{})(t.Context(), "tcp", server.Listener.Addr().String()); !errors.Is(err, domain.ErrTargetNotAllowed) {
		t.Errorf("got %v, %v; want it refused", conn, err)
	}
	// And so it is as a whole, by address and by a name that leads there.
	s := newSender(t, domain.Targets{})
	for _, url := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		if outcome := post(t, s, url); !errors.Is(outcome.Err, domain.ErrTargetNotAllowed) || outcome.Status != 0 {
			t.Errorf("%s: got %+v, want it refused", url, outcome)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the server got %d requests", n)
	}
}

// within tells whether an address is special, after the registries of IANA: written
// apart from the domain, which it judges.
func within(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() {
		return true
	}
	if v4 := ip.To4(); v4 != nil {
		return v4[0] == 0 || v4[0] >= 224 || v4[0] == 100 && v4[1]&0xc0 == 64 || v4[0] == 192 && v4[1] == 0 && (v4[2] == 0 || v4[2] == 2) ||
			v4[0] == 198 && v4[1]&0xfe == 18 || v4[0] == 198 && v4[1] == 51 && v4[2] == 100 || v4[0] == 203 && v4[1] == 0 && v4[2] == 113
	}
	first, second := int(ip[0])<<8|int(ip[1]), int(ip[2])<<8|int(ip[3])
	return first < 0x2000 || first > 0x3fff || first == 0x2002 || first == 0x2001 && (second < 0x200 || second == 0xdb8) || first == 0x3fff && second < 0x1000
}

// Nothing that is accepted as the URL of an endpoint, with whatever answers of DNS,
// leads to a connection to an address that is not public.
func FuzzTargetsThatAreAcceptedArePublic(f *testing.F) {
	for _, url := range append(known(f, "refused.txt"), known(f, "names.txt")...) {
		f.Add(url, []byte{93, 184, 215, 14}, []byte{127, 0, 0, 1})
	}
	f.Add("https://example.com", []byte{93, 184, 215, 14}, []byte{8, 8, 8, 8})
	f.Add("https://example.com", netip.MustParseAddr("64:ff9b::7f00:1").AsSlice(), netip.MustParseAddr("2606:4700::1111").AsSlice())
	f.Add("https://[2606:4700::1111]:8443/", []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, url string, first, second []byte) {
		if (domain.Targets{}).CheckURL(url) != nil {
			return
		}
		var answer []netip.Addr
		for _, bytes := range [][]byte{first, second} {
			if address, ok := netip.AddrFromSlice(bytes); ok {
				answer = append(answer, address)
			}
		}
		var d dialed
		outcome := post(t, newSender(t, domain.Targets{}, seams(resolving(answer), d.dial)), url)
		for _, to := range d.take() {
			if within(to) {
				t.Errorf("%q with DNS %v leads to %s", url, answer, to)
			}
		}
		if outcome.Err == nil || outcome.Status != 0 {
			t.Errorf("%q: got %+v without a network", url, outcome)
		}
	})
}
