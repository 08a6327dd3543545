package cloudflare

import (
	"context"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
)

func TestARecordIsMadeFoundAndRemoved(t *testing.T) {
	t.Parallel()
	const path = "/zones/20e00001/dns_records"
	look := func(name string) string { return "GET " + path + "?name.exact=" + name + "&page=1&per_page=100" }
	mark := `POST ` + path + ` {"comment":"rdev project=shop","content":"\"heritage=rdev,rdev/owner=one,rdev/project=shop\"","name":"_rdev.shop.example.com","ttl":1,"type":"TXT"}`
	for name, c := range map[string]struct {
		change func(*Config)
		what   string
		record string // in the order of the keys, as sent
	}{
		"name":       {target("edge.example.net"), "CNAME shop.example.com to edge.example.net", `"content":"edge.example.net","name":"shop.example.com","proxied":false,"ttl":1,"type":"CNAME"`},
		"IPv4":       {target("192.0.2.1"), "A shop.example.com to 192.0.2.1", `"content":"192.0.2.1","name":"shop.example.com","proxied":false,"ttl":1,"type":"A"`},
		"IPv6":       {target("2001:DB8:0::1"), "AAAA shop.example.com to 2001:db8::1", `"content":"2001:db8::1","name":"shop.example.com","proxied":false,"ttl":1,"type":"AAAA"`},
		"proxied":    {func(c *Config) { c.Proxied, c.TTL = true, 300 }, "CNAME shop.example.com to edge.example.net", `"content":"edge.example.net","name":"shop.example.com","proxied":true,"ttl":1,"type":"CNAME"`},
		"with a TTL": {func(c *Config) { c.TTL = 300 }, "CNAME shop.example.com to edge.example.net", `"content":"edge.example.net","name":"shop.example.com","proxied":false,"ttl":300,"type":"CNAME"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.dns(c.change)
			if what, err := d.Plan(t.Context(), "shop", host); what != c.what || err != nil || w.there() != "" {
				t.Errorf("planned is %q, %v, and there is %q", what, err, w.there())
			}
			planned := len(w.Calls())
			if record, err := d.Create(t.Context(), "shop", host); record != c.what || err != nil {
				t.Fatalf("made is %q, %v", record, err)
			}
			calls := strings.ReplaceAll(strings.Join(w.Calls()[planned:], "\n"), "/"+cloudflaretest.ZoneID(1)+"/", "/20e00001/")
			want := []string{
				look("_rdev." + host), look(host), mark, look("_rdev." + host), look(host), `POST ` + path + ` {"comment":"rdev project=shop",` + c.record + `}`,
			}
			if diff := cmp.Diff(want, strings.Split(calls, "\n")); diff != "" {
				t.Error(diff)
			}
			w.verified(d)

			before := w.Snapshot()
			w.create(d, "shop", host)
			if what, err := d.Plan(t.Context(), "shop", host); what != c.what || err != nil {
				t.Errorf("planned again is %q, %v", what, err)
			}
			if diff := cmp.Diff(before, w.Snapshot()); diff != "" {
				t.Errorf("created again: %s", diff)
			}

			w.remove(d, "shop", host)
			w.remove(d, "shop", host)
			if got := w.there(); got != "" {
				t.Errorf("left is %s", got)
			}
		})
	}
}

func TestOfARecordOnlyWhatIsOursIsChanged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Config)
		body   string
	}{
		"content": {target("other.example.net"), `{"content":"other.example.net","proxied":false,"ttl":1}`},
		"proxied": {func(c *Config) { c.Proxied = true }, `{"content":"edge.example.net","proxied":true,"ttl":1}`},
		"ttl":     {func(c *Config) { c.TTL = 120 }, `{"content":"edge.example.net","proxied":false,"ttl":120}`},
	} {
		w := newWorld(t)
		w.create(w.dns(), "shop", host)
		d := w.dns(c.change)
		before := len(w.Calls())
		w.create(d, "shop", host)
		calls := w.Calls()[before:]
		if len(calls) != 3 || !strings.HasPrefix(calls[2], "PATCH ") || !strings.HasSuffix(calls[2], " "+c.body) {
			t.Errorf("%s: called was %q", name, calls)
		}
		w.verified(d)
	}
}

func TestWhatIsThereOfAProjectIsCompleted(t *testing.T) {
	t.Parallel()
	const marked = "TXT _rdev.shop.example.com "
	for name, c := range map[string]struct {
		put    func(w *world)
		change func(*Config)
		want   []string
	}{
		"a mark alone":              {func(w *world) { w.mark(ours) }, nil, []string{"CNAME shop.example.com edge.example.net # rdev project=shop", marked + ours}},
		"a mark as others write it": {func(w *world) { w.mark(`HERITAGE=rdev, rdev/Owner=ONE,rdev/project=shop `) }, nil, []string{"CNAME shop.example.com edge.example.net # rdev project=shop", marked + `HERITAGE=rdev, rdev/Owner=ONE,rdev/project=shop `}},
		"a mark in two parts":       {func(w *world) { w.mark(`"heritage=rdev,rdev/owner=o" "ne,rdev/project=shop"`) }, nil, []string{"CNAME shop.example.com edge.example.net # rdev project=shop", marked + `"heritage=rdev,rdev/owner=o" "ne,rdev/project=shop"`}},
		"a record as it should be":  {func(w *world) { w.mark(ours); w.put("CNAME", host, "Edge.example.NET.", "") }, nil, []string{"CNAME shop.example.com Edge.example.NET.", marked + ours}},
		"a record that leads away": {func(w *world) {
			w.mark(ours)
			w.put("CNAME", host, "old.example.net", "RDEV project=shop (do not touch)")
		}, nil, []string{"CNAME shop.example.com edge.example.net # RDEV project=shop (do not touch)", marked + ours}},
		"a record of another type": {func(w *world) { w.mark(ours); w.put("A", host, "192.0.2.9", "rdev project=shop") }, nil, []string{"CNAME shop.example.com edge.example.net # rdev project=shop", marked + ours}},
		"more of them": {func(w *world) {
			w.mark(ours)
			w.put("A", host, "192.0.2.9", "rdev project=shop")
			w.put("A", host, "192.0.2.1", "")
			w.put("AAAA", host, "2001:db8::1", "rdev project=shop")
		}, target("192.0.2.1"), []string{"A shop.example.com 192.0.2.1", marked + ours}},
		"a mark of another type":      {func(w *world) { w.put("SPF", "_rdev."+host, strings.Replace(ours, "shop", "blog", 1), "") }, nil, []string{"CNAME shop.example.com edge.example.net # rdev project=shop", "SPF _rdev.shop.example.com " + strings.Replace(ours, "shop", "blog", 1), marked + ours + " # rdev project=shop"}},
		"two marks":                   {func(w *world) { w.mark(ours); w.mark(strings.Trim(ours, `"`)) }, nil, []string{"CNAME shop.example.com edge.example.net # rdev project=shop", marked + ours, marked + strings.Trim(ours, `"`)}},
		"an address, otherwise spelt": {func(w *world) { w.mark(ours); w.put("AAAA", host, "2001:DB8:0:0:0:0:0:1", "") }, target("2001:db8::1"), []string{"AAAA shop.example.com 2001:DB8:0:0:0:0:0:1", marked + ours}},
		"what says something else": {func(w *world) {
			w.mark("something of somebody's")
			w.put("MX", host, "mail.example.com", "")
			w.put("TXT", host, `"v=spf1 -all"`, "")
			w.put("CAA", host, "0 issue ca", "")
		}, target("192.0.2.1"), []string{"A shop.example.com 192.0.2.1 # rdev project=shop", "CAA shop.example.com 0 issue ca", "MX shop.example.com mail.example.com", marked + ours + " # rdev project=shop", marked + "something of somebody's", `TXT shop.example.com "v=spf1 -all"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.put(w)
			if c.change == nil {
				c.change = target("edge.example.net")
			}
			d := w.dns(c.change)
			if _, err := d.Plan(t.Context(), "shop", host); err != nil {
				t.Error(err)
			}
			w.create(d, "shop", host)
			if diff := cmp.Diff(strings.Join(c.want, "\n"), w.there()); diff != "" {
				t.Error(diff)
			}
			w.verified(d)
			w.remove(d, "shop", host)
			for line := range strings.SplitSeq(strings.ToLower(w.there()), "\n") {
				kind, _, _ := strings.Cut(line, " ")
				if kind == "a" || kind == "aaaa" || kind == "cname" || kind == "txt" && strings.Contains(line, "heritage=rdev") {
					t.Errorf("left is %s", line)
				}
			}
		})
	}
}

func TestWhatIsSomebodyElsesIsNamedAndStays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		put  func(w *world)
		says []string
	}{
		"an address":               {func(w *world) { w.put("A", host, "192.0.2.9", "") }, []string{host, `A "192.0.2.9"`, "did not make"}},
		"one with our comment":     {func(w *world) { w.put("CNAME", host, "edge.example.net", "rdev project=shop") }, []string{`CNAME "edge.example.net"`}},
		"another IPv6":             {func(w *world) { w.put("AAAA", host, "2001:db8::9", "") }, []string{`AAAA "2001:db8::9"`}},
		"a delegation":             {func(w *world) { w.put("NS", host, "ns.example.net", "") }, []string{`NS "ns.example.net"`}},
		"a service":                {func(w *world) { w.put("HTTPS", host, "1 . alpn=h2", "") }, []string{`HTTPS "1 . alpn=h2"`}},
		"a type that nobody knows": {func(w *world) { w.put("NEWTYPE", host, "x", "") }, []string{`NEWTYPE "x"`}},
		"on a page behind": {func(w *world) {
			w.PageSize(1)
			w.put("TXT", host, "a", "")
			w.put("TXT", host, "b", "")
			w.put("A", host, "192.0.2.9", "")
		}, []string{`A "192.0.2.9"`}},
		"another project's": {func(w *world) { w.mark(strings.Replace(ours, "=shop", "=blog", 1)) }, []string{host, `project "blog" of the installation "one"`, "_rdev." + host}},
		"another installation's": {func(w *world) {
			w.mark(strings.Replace(ours, "=one", "=two", 1))
			w.put("CNAME", host, "edge.example.net", "rdev project=shop")
		}, []string{`project "shop" of the installation "two"`}},
		"nobody's mark": {func(w *world) { w.mark(`"heritage=rdev"`) }, []string{`project "" of the installation ""`}},
		"two marks, ours the later one": {func(w *world) {
			w.mark(strings.Replace(ours, "=one", "=two", 1))
			w.put("CNAME", host, "edge.example.net", "")
		}, []string{`of the installation "two"`}},
		"beside our mark":                       {func(w *world) { w.mark(ours); w.put("A", host, "192.0.2.9", "") }, []string{`A "192.0.2.9"`, "did not make"}},
		"beside our mark, of a similar project": {func(w *world) { w.mark(ours); w.put("A", host, "192.0.2.9", "rdev project=shop2") }, []string{`A "192.0.2.9"`}},
		"beside our mark, a delegation":         {func(w *world) { w.mark(ours); w.put("NS", host, "ns.example.net", "rdev project=shop") }, []string{`NS "ns.example.net"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.put(w)
			before := w.Snapshot()
			d := w.dns()
			_, err := d.Plan(t.Context(), "shop", host)
			refused(t, err, contract.ClassUser, c.says...)
			_, err = d.Create(t.Context(), "shop", host)
			refused(t, err, contract.ClassUser, c.says...)
			if differences, err := d.Verify(t.Context(), "shop", host); err != nil || !strings.Contains(strings.Join(differences, "; "), c.says[0]) {
				t.Errorf("%v: %q", err, differences)
			}
			if diff := cmp.Diff(before, w.Snapshot()); diff != "" {
				t.Error(diff)
			}
			w.remove(d, "shop", host)
			if strings.HasPrefix(name, "beside our mark") {
				before = before[1:]
			}
			if diff := cmp.Diff(before, w.Snapshot()); diff != "" {
				t.Errorf("removed: %s", diff)
			}
		})
	}
}

func TestVerifyListsWhatIsNotAsItShouldBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"nothing": {func(*world) {}, nil},
		"all":     {func(w *world) { w.Drop(host); w.Drop("_rdev." + host) }, []string{"shop.example.com has no TXT record _rdev.shop.example.com that says that it is this project's", "the record CNAME shop.example.com to edge.example.net is missing"}},
		"record":  {func(w *world) { w.Drop(host) }, []string{"the record CNAME shop.example.com to edge.example.net is missing"}},
		"mark": {func(w *world) { w.Drop("_rdev." + host) }, []string{
			"shop.example.com has no TXT record _rdev.shop.example.com that says that it is this project's",
			`shop.example.com has the record CNAME "edge.example.net", which rdev did not make`, "the record CNAME shop.example.com to edge.example.net is missing",
		}},
		"content": {func(w *world) { w.Drop(host); w.put("CNAME", host, "x.example.net", "rdev project=shop") }, []string{`shop.example.com has the record CNAME "x.example.net", and should have CNAME "edge.example.net"`}},
		"more":    {func(w *world) { w.put("A", host, "192.0.2.1", "rdev project=shop") }, []string{`shop.example.com has the record A "192.0.2.1" as well`}},
		"proxy and TTL": {func(w *world) {
			w.Drop(host)
			w.Put(cloudflaretest.Record{Zone: cloudflaretest.ZoneID(1), Type: "CNAME", Name: host, Content: "edge.example.net", Proxied: true, TTL: 60})
		}, []string{
			`the record CNAME "edge.example.net" of shop.example.com has Cloudflare as its proxy: true, and should be false`,
			`the record CNAME "edge.example.net" of shop.example.com has a TTL of 60 seconds, and should have 1 (1 is what Cloudflare chooses)`,
		}},
		"mark of another": {func(w *world) { w.mark(strings.Replace(ours, "one", "two", 1)) }, []string{`shop.example.com is of the project "shop" of the installation "two", as the TXT record _rdev.shop.example.com says`}},
		"somebody's":      {func(w *world) { w.put("AAAA", host, "2001:db8::9", "") }, []string{`shop.example.com has the record AAAA "2001:db8::9", which rdev did not make`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.dns()
			w.create(d, "shop", host)
			c.change(w)
			before := w.Snapshot()
			got, err := d.Verify(t.Context(), "shop", host)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, w.Snapshot()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestZonesAreTheLongestOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dns()
	for name, want := range map[string]string{
		"example.com": "example.com", "shop.example.com": "example.com", "apps.example.com": "apps.example.com", "a.b.apps.example.com": "apps.example.com",
		"myapps.example.com": "example.com", "example.org": "example.org", "shop.localhost": "", "myexample.com": "", "com": "", "": "",
	} {
		if got, ok := d.zoneOf(name); got != want || ok != (want != "") || d.Zone(name) != ok {
			t.Errorf("%q is in %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"example.com", "shop.apps.example.com"} {
		w.create(d, "shop", name)
	}
	for _, r := range w.Snapshot() {
		if inApps := strings.HasSuffix(r.Name, "apps.example.com"); inApps != (r.Zone == cloudflaretest.ZoneID(2)) {
			t.Errorf("%s is in the zone %s", r.Name, r.Zone)
		}
	}
}

func TestAHostThatCannotHaveARecordIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dns(target("edge.example.com"))
	long := strings.Repeat(strings.Repeat("a", 59)+".", 4) // 240
	for name, says := range map[string]string{
		"shop.example.net":   "none of the zones of PROVISIONER_CLOUDFLARE_ZONES",
		long + "example.com": "too long",
		"edge.example.com":   "where all hosts lead to",
	} {
		_, err := d.Plan(t.Context(), "shop", name)
		refused(t, err, contract.ClassUser, says)
		_, err = d.Create(t.Context(), "shop", name)
		refused(t, err, contract.ClassUser, says)
		_, err = d.Verify(t.Context(), "shop", name)
		refused(t, err, contract.ClassUser, says)
		refused(t, d.Remove(t.Context(), "shop", name), contract.ClassUser, says)
	}
	if calls := w.Calls(); len(calls) > 0 {
		t.Errorf("asked was %q", calls)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no zone": func(c *Config) { c.Zones = nil }, "a zone in capitals": func(c *Config) { c.Zones = map[string]string{"Example.com": cloudflaretest.ZoneID(1)} },
		"a zone with a dot": func(c *Config) { c.Zones = map[string]string{"example.com.": cloudflaretest.ZoneID(1)} },
		"an id of a zone":   func(c *Config) { c.Zones = map[string]string{"example.com": "../user"} },
		"no token":          func(c *Config) { c.Token = "" }, "a token of two lines": func(c *Config) { c.Token = "canary\ncanary" },
		"no target": target(""), "a URL": target("https://edge.example.net"), "an address with a zone": target("fe80::1%eth0"), "an address in another": target("::ffff:192.0.2.1"),
		"no installation": installation(""), "a mark in it": installation("a,rdev/project=b"),
		"a TTL of 5": func(c *Config) { c.TTL = 5 }, "a TTL below 0": func(c *Config) { c.TTL = -1 }, "a TTL of a week": func(c *Config) { c.TTL = 604800 },
		"an address that is none": func(c *Config) { c.BaseURL = "://" },
	} {
		cfg := Config{Zones: zones(), Token: "canary", Target: "edge.example.net", Installation: "one"}
		change(&cfg)
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// witness sees a request, and lets nothing out.
type witness struct{ *http.Request }

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	w.Request = r
	return nil, context.Canceled
}

func TestTheTokenGoesToCloudflareAndNothingFromTheEnvironment(t *testing.T) {
	for _, name := range []string{"CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CLOUDFLARE_API_EMAIL", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_USER_SERVICE_KEY"} {
		t.Setenv(name, "canary")
	}
	t.Setenv("CLOUDFLARE_BASE_URL", "http://canary.example.net")
	d, err := New(Config{Zones: zones(), Token: "secret", Target: "192.0.2.1", Installation: "one"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it does not try again
	seen := &witness{}
	d.client.Transport = seen
	if _, err := d.Plan(ctx, "shop", host); err == nil {
		t.Error("it had an answer")
	}
	if seen.Request == nil || seen.URL.Scheme != "https" || seen.URL.Host != "api.cloudflare.com" || seen.Header.Get("Authorization") != "Bearer secret" {
		t.Fatalf("it asked %v", seen.Request)
	}
	if limit := seen.Header.Get("X-Stainless-Timeout"); limit != "10" {
		t.Errorf("its limit of a request is %q seconds", limit)
	}
	for key, values := range seen.Header {
		if strings.Contains(strings.Join(values, " "), "canary") || strings.HasPrefix(key, "X-Auth") {
			t.Errorf("%s is %q", key, values)
		}
	}
}

// elsewhere answers that what is asked for is at another place.
type elsewhere struct{ asked []string }

func (e *elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	e.asked = append(e.asked, r.URL.Host)
	return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"http://elsewhere.example.net/"}}, Body: http.NoBody, Request: r}, nil
}

func TestItFollowsNobodyElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dns()
	e := &elsewhere{}
	d.client.Transport = e
	if what, err := d.Create(t.Context(), "shop", host); err == nil || len(e.asked) != 1 {
		t.Errorf("%q, %v, and asked were %q", what, err, e.asked)
	}
}

// The package at the root of the library reads the environment, and takes 1.6 GB to compile.
func TestOfTheLibraryOnlyTwoPackagesAreImported(t *testing.T) {
	t.Parallel()
	const library = "github.com/cloudflare/cloudflare-go/"
	files := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			if strings.HasPrefix(name, library) && name != library+"v7/dns" && name != library+"v7/option" {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%d files, %v", files, err)
	}
}
