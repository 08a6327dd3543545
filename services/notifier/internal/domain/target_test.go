package domain_test

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// lines are those of a file of testdata that are neither empty nor a comment.
func lines(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '"' {
			if line, err = strconv.Unquote(line); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, line)
	}
	return all
}

func TestTargetsWithinAreRefusedInEverySpelling(t *testing.T) {
	for _, url := range append(lines(t, "refused.txt"), "", "https://example.com/"+strings.Repeat("x", 2048)) {
		if err := (domain.Targets{}).CheckURL(url); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
}

func TestTargetsOutsideAreAccepted(t *testing.T) {
	for _, url := range append(lines(t, "names.txt"),
		"https://example.com", "https://example.com/hook?x=1&y=%20", "HTTPS://EXAMPLE.com:8443/", "https://example.com./", "http://example.com:",
		"https://hooks.chat.example.com/services/T0/B0/abc_-~", "https://xn--bcher-kva.example/", "https://a_b.example.com", "https://example.com:65535",
		"https://1.example.com", "https://0x7f.example.com", "https://3com.example", "https://example.0xyz", "https://example.com/a/../b//c", "https://example.com/?q=@127.0.0.1",
		"https://example.com/ü", "https://localhost.example.com", "https://notlocalhost",
		"http://93.184.215.14:8443", "http://93.184.215.14.", "http://1.1.1.1", "http://8.8.8.8/", "http://11.0.0.1", "http://172.15.0.1", "http://172.32.0.1",
		"http://192.169.0.1", "http://100.63.255.255", "http://100.128.0.1", "http://169.253.1.1", "http://198.17.1.1", "http://223.255.255.1", "http://192.0.1.1", "http://168.63.129.17",
		"https://[2606:4700::1111]/", "https://[2606:4700:0:0:0:0:0:1111]:8443/", "http://[2001:4860:4860::8888]", "https://[2a00:1450::1]", "https://[::ffff:93.184.215.14]", "https://[2003::1]",
	) {
		if err := (domain.Targets{}).CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestWhatIsWithinSaysSoAndWhatIsNoURLDoesNot(t *testing.T) {
	for url, within := range map[string]bool{
		"http://10.0.0.1": true, "http://[::1]": true, "http://localhost": true, "http://127.1": true, "http://2130706433": true, "http://0x7f000001": true,
		"http://127.0.0.1.": true, "http://[::ffff:7f00:1]": true, "http://0": true,
		"": false, "example.com": false, "ftp://example.com": false, "https://": false, "https://u:p@example.com": false, "https://example.com/#x": false, "http://a b": false,
		"http://exa*mple.com": false, "http://example.com:0": false, "http://bücher.example": false, "http://[example.com]": false, "http://a\\b": false,
	} {
		err := (domain.Targets{}).CheckURL(url)
		if err == nil || errors.Is(err, domain.ErrTargetNotAllowed) != within {
			t.Errorf("%q: %v, want it to be not allowed: %t", url, err, within)
		}
	}
}

func TestAnAllowedNetworkIsAllowedInEverySpelling(t *testing.T) {
	some := domain.Targets{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00:1::/64")}}
	for url, want := range map[string]bool{
		"http://10.1.2.3": true, "http://[::ffff:10.1.2.3]": true, "http://[::ffff:a01:203]": true, "http://10.1.2.3.": true, "http://10.2.2.3": false,
		"http://localhost:8080": true, "http://127.0.0.1": true, "http://[::1]": false, "http://127.1": false, // of one spelling is enough
		"http://[fd00:1::7]": true, "http://[fd00:1::7%25eth0]": true, "http://[fd00:2::7]": false, "http://[64:ff9b::a01:203]": false, "http://[2002:a01:203::]": false,
	} {
		if err := some.CheckURL(url); (err == nil) != want {
			t.Errorf("%s: %v, want it allowed: %t", url, err, want)
		}
	}
	if addresses, err := some.Localhost(); err != nil || len(addresses) != 1 || addresses[0].String() != "127.0.0.1" {
		t.Errorf("localhost is %v, %v; want 127.0.0.1", addresses, err)
	}
}

func TestHeadersOfRdevAndOfTheConnectionAreReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"Webhook-Id": true, "webhook-signature": true, "WEBHOOK-X": true, "ce-type": true, "Rdev-Seq": true, "Content-Type": true, "content-length": true, "Host": true,
		"Transfer-Encoding": true, "Connection": true, "Proxy-Authorization": true, "traceparent": true, "User-Agent": true, "Idempotency-Key": true,
		"Authorization": false, "X-Api-Key": false, "Cookie": false, "Accept": false, "X-Rdev-Seq": false, "Webhook": false,
	} {
		if got := domain.ReservedHeader(name); got != want {
			t.Errorf("%s is reserved: %t, want %t", name, got, want)
		}
	}
}
