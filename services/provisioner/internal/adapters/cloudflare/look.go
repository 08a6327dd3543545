package cloudflare

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cloudflare/cloudflare-go/v7/dns"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// nameLen is how long a name may be in DNS.
const nameLen = 253

// claim is a host that a project has, or is to have.
type claim struct {
	host     string
	mark     mark
	zone     string // its id
	zoneName string
}

// claim is the one of a project to a host: an error where there can be none.
func (d *DNS) claim(slug, host string) (claim, error) {
	zone, ok := d.zoneOf(host)
	switch {
	case !ok:
		return claim{}, refusal("%s is in none of the zones of PROVISIONER_CLOUDFLARE_ZONES", host)
	case len(markPrefix+host) > nameLen:
		return claim{}, refusal("%s is too long: with %s before it there are more than %d characters", host, markPrefix, nameLen)
	case d.want.kind == dns.RecordResponseTypeCNAME && d.want.content == host:
		return claim{}, refusal("%s is where all hosts lead to, and so can be no project's", host)
	}
	return claim{host: host, mark: mark{d.installation, slug}, zone: d.zones[zone], zoneName: zone}, nil
}

func refusal(format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(contract.ClassUser, format, args...)}
}

// found is what there is of a host.
type found struct {
	claim

	marks  []marked // the oldest one first: it says whose the host is
	own    []dns.RecordResponse
	others []dns.RecordResponse // that are not the project's, and say where the host leads
}

// marked is a mark, and its record.
type marked struct {
	mark
	dns.RecordResponse
}

// look finds out what there is of a host.
func (d *DNS) look(ctx context.Context, c claim) (found, error) {
	f := found{claim: c}
	texts, err := d.list(ctx, c, markPrefix+c.host)
	if err != nil {
		return f, fmt.Errorf("look for the mark of %s: %w", c.host, err)
	}
	for _, text := range texts {
		if m, ok := readMark(text.Content); ok && text.Type == dns.RecordResponseTypeTXT {
			f.marks = append(f.marks, marked{m, text})
		}
	}
	slices.SortFunc(f.marks, func(a, b marked) int {
		return cmp.Or(a.CreatedOn.Compare(b.CreatedOn), cmp.Compare(a.ID, b.ID))
	})
	records, err := d.list(ctx, c, c.host)
	if err != nil {
		return f, fmt.Errorf("look for the records of %s: %w", c.host, err)
	}
	for _, r := range records {
		switch {
		case !leads(r):
		case f.mine() && made(r) && (c.mark.commented(r.Comment) || d.want.is(r)):
			f.own = append(f.own, r)
		default:
			f.others = append(f.others, r)
		}
	}
	return f, nil
}

// leads tells whether a record may say where its host leads. These say something else.
func leads(r dns.RecordResponse) bool {
	return r.Type != dns.RecordResponseTypeTXT && r.Type != dns.RecordResponseTypeMX && r.Type != dns.RecordResponseTypeCAA
}

// made tells whether a record is of a type that rdev makes.
func made(r dns.RecordResponse) bool {
	return r.Type == dns.RecordResponseTypeA || r.Type == dns.RecordResponseTypeAAAA || r.Type == dns.RecordResponseTypeCNAME
}

// mine tells whether the host is the project's.
func (f found) mine() bool { return len(f.marks) > 0 && f.marks[0].mark == f.mark }

// ownMarks are the project's, of which there may be several, or one too late.
func (f found) ownMarks() (own []dns.RecordResponse) {
	for _, m := range f.marks {
		if m.mark == f.mark {
			own = append(own, m.RecordResponse)
		}
	}
	return own
}

// refusal is why the host cannot be the project's.
func (f found) refusal() error {
	if len(f.marks) > 0 && !f.mine() {
		return refusal("%s is of %s: choose another host, or have it deleted there", f.host, f.marks[0])
	}
	if len(f.others) > 0 {
		return refusal("%s has %s, which rdev did not make: choose another host, or remove that record at Cloudflare", f.host, inWords(f.others[0]))
	}
	return nil
}

// String says whose the mark is, and where that is written.
func (m marked) String() string {
	return fmt.Sprintf("the project %q of the installation %q, as the TXT record %s says", m.project, m.installation, m.Name)
}

// inWords is a record that is there.
func inWords(r dns.RecordResponse) string { return fmt.Sprintf("the record %s %q", r.Type, r.Content) }

// what is the record of a host, in words.
func (d *DNS) what(host string) string {
	return fmt.Sprintf("%s %s to %s", d.want.kind, host, d.want.content)
}

// Plan implements app.DNS.
func (d *DNS) Plan(ctx context.Context, slug, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	c, err := d.claim(slug, host)
	if err != nil {
		return d.what(host), err
	}
	now, err := d.look(ctx, c)
	if err != nil {
		return d.what(host), err
	}
	return d.what(host), now.refusal()
}

// Verify implements app.DNS.
func (d *DNS) Verify(ctx context.Context, slug, host string) (differences []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	c, err := d.claim(slug, host)
	if err != nil {
		return nil, err
	}
	now, err := d.look(ctx, c)
	if err != nil {
		return nil, err
	}
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	if len(now.ownMarks()) == 0 {
		differ("%s has no TXT record %s that says that it is this project's", host, markPrefix+host)
	}
	for _, m := range now.marks {
		if m.mark != c.mark {
			differ("%s is of %s", host, m)
		}
	}
	for _, r := range now.others {
		differ("%s has %s, which rdev did not make", host, inWords(r))
	}
	if len(now.own) == 0 {
		differ("the record %s is missing", d.what(host))
	}
	for i, r := range now.own {
		switch {
		case i > 0:
			differ("%s has %s as well", host, inWords(r))
		case !d.want.is(r):
			differ("%s has %s, and should have %s %q", host, inWords(r), d.want.kind, d.want.content)
		}
		if r.Proxied != d.want.proxied {
			differ("%s of %s has Cloudflare as its proxy: %t, and should be %t", inWords(r), host, r.Proxied, d.want.proxied)
		}
		if r.TTL != d.want.ttl {
			differ("%s of %s has a TTL of %g seconds, and should have %g (1 is what Cloudflare chooses)", inWords(r), host, float64(r.TTL), float64(d.want.ttl))
		}
	}
	return differences, nil
}
