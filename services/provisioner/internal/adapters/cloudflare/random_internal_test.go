package cloudflare

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
)

// dice fills a zone with all kinds of things, and does all kinds of things with it.
type dice struct {
	*rand.Rand
	*world

	project bool     // the oldest mark is the project's
	ours    []string // ids of what the project may change
}

func pick[T any](d *dice, of ...T) T { return of[d.IntN(len(of))] }

// fill makes what was there before. What it says of whose a record is does not come from
// the code that is tested.
func (d *dice) fill() {
	marks := []string{
		strings.Replace(ours, "=one", "=two", 1), strings.Replace(ours, "=shop", "=blog", 1), `"heritage=rdev"`, `"heritage=external-dns,external-dns/owner=one"`,
		"", "heritage=rdev,rdev/owner=one,rdev/project=shopping", strings.Replace(ours, "heritage=rdev", "heritage=other", 1), "something",
	}
	first := true
	for range d.IntN(4) {
		content, own := pick(d, marks...), false
		if d.IntN(2) == 0 {
			content, own = pick(d, ours, strings.Trim(ours, `"`), strings.ToUpper(ours)), true
		}
		r := d.put("TXT", "_rdev."+host, content, pick(d, "", "rdev project=shop"))
		if own {
			d.ours = append(d.ours, r.ID)
		}
		if own || strings.Contains(content, "heritage=rdev") {
			d.project, first = d.project || own && first, false
		}
	}
	names := []string{host, host, host, "_rdev." + host, "www." + host, "example.com", "_rdev.example.com", "shop2.example.com", "other-" + host, "_rdev._rdev." + host}
	for range d.IntN(6) {
		name := pick(d, names...)
		kind := pick(d, "A", "AAAA", "CNAME", "CNAME", "MX", "NS", "HTTPS", "CAA", "TXT")
		content := pick(d, "192.0.2.1", "192.0.2.9", "edge.example.net", "old.example.net", "2001:db8::9")
		comment := pick(d, "", "rdev project=shop", "rdev project=shop, moved", "rdev project=shop2", "of somebody", "Rdev project=SHOP of old")
		if kind == "TXT" && name == "_rdev."+host {
			kind = "CNAME"
		}
		r := d.put(kind, name, content, comment)
		made := kind == "A" || kind == "AAAA" || kind == "CNAME"
		commented := comment == "rdev project=shop" || strings.HasPrefix(comment, "Rdev")
		if name == host && d.project && made && (commented || kind == "CNAME" && content == "edge.example.net") {
			d.ours = append(d.ours, r.ID)
		}
	}
}

// play does something, and has it fail now and then.
func (d *dice) play(dns *DNS) {
	if d.IntN(2) == 0 {
		d.Fail(pick(d, "GET ", "name.exact=shop", "POST ", `"TXT"`, `"CNAME"`, "PATCH ", "DELETE "), pick(d,
			cloudflaretest.Fault{Status: 500, RetryAfter: "0", Times: 2}, cloudflaretest.Fault{Status: 500, RetryAfter: "0", AfterEffect: true},
			cloudflaretest.Fault{CutBody: true}, cloudflaretest.Fault{Status: 429, RetryAfter: "60"}, cloudflaretest.Fault{Status: 400, Code: 81058}))
	}
	killAt := 0
	if d.IntN(3) == 0 {
		killAt = 1 + d.IntN(14)
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	m := &mortal{RoundTripper: dns.client.Transport, die: cancel, killAt: killAt}
	dns.client.Transport = m
	defer func() { dns.client.Transport = m.RoundTripper }()
	switch d.IntN(4) {
	case 0:
		_, _ = dns.Plan(ctx, "shop", host)
	case 1:
		_, _ = dns.Verify(ctx, "shop", host)
	case 2:
		_ = dns.Remove(ctx, "shop", host)
	default:
		_, _ = dns.Create(ctx, "shop", host)
	}
}

// Zones in which all kinds of things are: what is not the project's never changes, whatever
// is done, in whatever order, and whatever of it fails. In the end nothing else is left.
func TestWhatIsNotMarkedIsNeverChanged(t *testing.T) {
	t.Parallel()
	const rounds = 200
	made, changed := 0, 0
	for round := range uint64(rounds) {
		d := &dice{Rand: rand.New(rand.NewPCG(7, round)), world: newWorld(t)}
		d.PageSize(1 + d.IntN(3))
		d.fill()
		before := d.Snapshot()
		somebodys := slices.DeleteFunc(d.Snapshot(), func(r cloudflaretest.Record) bool { return slices.Contains(d.ours, r.ID) })
		dns := d.dns()
		for range 1 + d.IntN(6) {
			d.play(dns)
			after := slices.DeleteFunc(d.Snapshot(), func(r cloudflaretest.Record) bool {
				return !slices.ContainsFunc(somebodys, func(s cloudflaretest.Record) bool { return s.ID == r.ID })
			})
			if diff := cmp.Diff(somebodys, after); diff != "" {
				t.Fatalf("round %d: %s", round, diff)
			}
			for _, r := range d.Snapshot() {
				if !slices.ContainsFunc(before, func(b cloudflaretest.Record) bool { return b.ID == r.ID }) && r.Name+" "+r.Content != host+" edge.example.net" && r.Name+" "+r.Content != "_rdev."+host+" "+ours {
					t.Fatalf("round %d: it made %+v", round, r)
				}
			}
		}
		d.Heal()
		if _, err := dns.Create(t.Context(), "shop", host); err == nil {
			made++
			differences, err := dns.Verify(t.Context(), "shop", host)
			differences = slices.DeleteFunc(differences, func(text string) bool { return strings.Contains(text, " is of ") }) // a later mark
			if err != nil || len(differences) > 0 {
				t.Errorf("round %d: %v: %q", round, err, differences)
			}
		}
		d.remove(dns, "shop", host)
		if diff := cmp.Diff(somebodys, d.Snapshot()); diff != "" {
			t.Fatalf("round %d, removed: %s", round, diff)
		}
		if len(somebodys) < len(before) {
			changed++
		}
	}
	if made < rounds/6 || changed < rounds/6 {
		t.Errorf("of %d rounds %d ended with a record, and %d had something of the project: it tries too little", rounds, made, changed)
	}
}

// FuzzReadMark reads what somebody wrote: what is taken for a mark is the same when it is
// written and read again.
func FuzzReadMark(f *testing.F) {
	for _, text := range []string{ours, "heritage=rdev", `"heritage=rdev," "rdev/owner=one,rdev/project=shop"`, `"`, `""""`, "", "=,=", `"heritage=rdev,rdev/owner=one,rdev/project=shop" x`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := readMark(text)
		if !ok || strings.Contains(m.installation+m.project, `"`) {
			return
		}
		if again, ok := readMark(m.content()); again != m || !ok {
			t.Errorf("%q is %+v, and that %+v, %t", text, m, again, ok)
		}
	})
}
