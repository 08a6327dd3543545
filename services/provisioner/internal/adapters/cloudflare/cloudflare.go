// Package cloudflare keeps the records of hosts in zones at Cloudflare.
//
// A host of a project has a record that leads to where projects are reached, and a TXT
// record _rdev.<host>, its mark, which says of which project of which installation it is. The
// mark comes first and goes last, so that what a crash leaves is always known. Where there are
// marks of two it is the older one that counts.
//
// Of a host that has the project's mark a record is the project's that has its comment, or
// leads to where projects are reached anyway: the comment alone proves nothing, but it tells
// rdev's record from one that somebody made beside the mark. Every other record that says where
// the host leads is somebody else's, and stays as it is.
//
// Of the library only the packages dns and option are imported: the one at its root takes
// the keys of whoever runs it from the environment, and long to compile.
package cloudflare

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/option"

	"github.com/orchard9/rdev/libs/validate"
)

const (
	connectTimeout = 5 * time.Second
	// tryTimeout bounds a request, taskTimeout all that a method asks for.
	tryTimeout  = 10 * time.Second
	taskTimeout = 2 * time.Minute
)

// automatic is the TTL that Cloudflare chooses: no other can be where it is the proxy.
const automatic = 1

// Config is what there is at Cloudflare, and where hosts are to lead.
type Config struct {
	Zones  map[string]string // id by name
	Token  string            // may edit the records of these zones
	Target string            // an IPv4 or IPv6 address, or the name of a host
	// Proxied has Cloudflare take the requests and pass them on.
	Proxied      bool
	Installation string // its id
	TTL          int    // seconds; 0 for what Cloudflare chooses
	BaseURL      string // of the API; "" for Cloudflare's own
}

// DNS implements app.DNS.
type DNS struct {
	zones        map[string]string
	records      *dns.RecordService
	client       *http.Client
	installation string
	want         lead
	limit        time.Duration // of what a method asks for
}

var (
	zoneID         = regexp.MustCompile(`^[0-9a-f]{32}$`)
	installationID = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
)

// New checks the settings. It does not connect.
func New(cfg Config) (*DNS, error) {
	if len(cfg.Zones) == 0 {
		return nil, errors.New("there is no zone")
	}
	for name, id := range cfg.Zones {
		if ascii, wrong := validate.Host(name); wrong != "" || ascii != name || !zoneID.MatchString(id) {
			return nil, fmt.Errorf("the zone %q with the id %q: its name is as example.com, in lower case and punycode, and its id 32 hexadecimal digits", name, id)
		}
	}
	switch {
	case cfg.Token == "" || strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the token is empty, or has white space in it") // and is not repeated
	case !installationID.MatchString(cfg.Installation):
		return nil, fmt.Errorf("the installation %q has no id", cfg.Installation)
	case cfg.TTL != 0 && cfg.TTL != automatic && (cfg.TTL < 60 || cfg.TTL > 86400):
		return nil, fmt.Errorf("a TTL of %d seconds: it is 60 to 86400, or 0 for what Cloudflare chooses", cfg.TTL)
	}
	want, err := leadTo(cfg.Target)
	if err != nil {
		return nil, err
	}
	want.proxied, want.ttl = cfg.Proxied, automatic
	if cfg.TTL != 0 && !cfg.Proxied {
		want.ttl = dns.TTL(cfg.TTL)
	}
	client := newClient()
	where := option.WithEnvironmentProduction()
	if cfg.BaseURL != "" {
		if base, err := url.Parse(cfg.BaseURL); err != nil || base.Host == "" {
			return nil, fmt.Errorf("the address of the API, %q, is none", cfg.BaseURL)
		}
		where = option.WithBaseURL(cfg.BaseURL)
	}
	return &DNS{
		zones: cfg.Zones, client: client, installation: cfg.Installation, want: want, limit: taskTimeout,
		records: dns.NewRecordService(where, option.WithAPIToken(cfg.Token), option.WithHTTPClient(client),
			option.WithRequestTimeout(tryTimeout), option.WithMaxRetries(1), option.WithMiddleware(impatient)),
	}, nil
}

func newClient() *http.Client {
	return &http.Client{
		Timeout: tryTimeout,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout: connectTimeout, ResponseHeaderTimeout: tryTimeout, IdleConnTimeout: time.Minute,
			ForceAttemptHTTP2: true,
		},
		// The API leads nowhere else, and the token is for nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// lead is what the record of a host is to be.
type lead struct {
	kind    dns.RecordResponseType
	content string
	proxied bool
	ttl     dns.TTL
}

// leadTo is a record that leads to an address, or to a host.
func leadTo(target string) (lead, error) {
	if address, err := netip.ParseAddr(target); err == nil {
		switch {
		case address.Is4():
			return lead{kind: dns.RecordResponseTypeA, content: address.String()}, nil
		case address.Zone() == "" && !address.Is4In6():
			return lead{kind: dns.RecordResponseTypeAAAA, content: address.String()}, nil
		}
	}
	host, wrong := validate.Host(target)
	if wrong != "" {
		return lead{}, fmt.Errorf("hosts are to lead to %q, which is neither an address nor the name of a host", target)
	}
	return lead{kind: dns.RecordResponseTypeCNAME, content: host}, nil
}

// is tells whether a record leads to where it should.
func (l lead) is(r dns.RecordResponse) bool {
	if r.Type != l.kind {
		return false
	}
	if address, err := netip.ParseAddr(r.Content); err == nil {
		return address.String() == l.content
	}
	return strings.EqualFold(strings.TrimSuffix(r.Content, "."), l.content)
}

// Zone implements app.DNS.
func (d *DNS) Zone(host string) bool {
	_, ok := d.zoneOf(host)
	return ok
}

// zoneOf is the name of the zone that a host is in: the longest one that it may be.
func (d *DNS) zoneOf(host string) (name string, ok bool) {
	for name, ok = host, true; ok; _, name, ok = strings.Cut(name, ".") {
		if d.zones[name] != "" {
			return name, true
		}
	}
	return "", false
}
