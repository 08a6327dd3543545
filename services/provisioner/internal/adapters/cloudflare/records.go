package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudflare/cloudflare-go/v7/dns"
)

// Create implements app.DNS.
func (d *DNS) Create(ctx context.Context, slug, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	c, err := d.claim(slug, host)
	if err != nil {
		return "", err
	}
	now, err := d.look(ctx, c)
	if err != nil {
		return "", err
	}
	if now.refusal() == nil && !now.mine() {
		// Another may have come between: what is there then counts.
		if now, err = d.claimIt(ctx, c); err != nil {
			return "", err
		}
	}
	if err := now.refusal(); err != nil {
		if !now.mine() { // the host is another's, whose mark is the older one
			if err := d.unmark(ctx, now); err != nil {
				return "", err
			}
		}
		return "", err
	}
	if err := d.lead(ctx, now); err != nil {
		return "", err
	}
	return d.what(host), nil
}

// claimIt marks a host, and looks again.
func (d *DNS) claimIt(ctx context.Context, c claim) (found, error) {
	err := d.create(ctx, c, markPrefix+c.host, lead{kind: dns.RecordResponseTypeTXT, content: c.mark.content(), ttl: automatic})
	if errors.Is(err, errInTheWay) {
		return found{}, refusal("%s cannot be marked as this project's: Cloudflare takes no TXT record %s beside what is there of that name", c.host, markPrefix+c.host)
	}
	if err != nil && !errors.Is(err, errThere) {
		return found{}, fmt.Errorf("mark %s: %w", c.host, err)
	}
	now, err := d.look(ctx, c)
	if err == nil && len(now.marks) == 0 {
		err = fmt.Errorf("the mark of %s was made, and is not there", c.host)
	}
	return now, err
}

// lead has a host that is the project's lead to where projects are reached. A record that
// was made for a target of another type goes before the next one comes: they exclude each
// other.
func (d *DNS) lead(ctx context.Context, now found) error {
	keep := slices.IndexFunc(now.own, d.want.is)
	if keep < 0 {
		keep = slices.IndexFunc(now.own, func(r dns.RecordResponse) bool { return r.Type == d.want.kind })
	}
	for i, r := range now.own {
		if i == keep {
			continue
		}
		if err := d.delete(ctx, now.claim, r.ID); err != nil {
			return fmt.Errorf("remove %s of %s: %w", inWords(r), now.host, err)
		}
	}
	if keep < 0 {
		return d.add(ctx, now.claim)
	}
	if r := now.own[keep]; !d.want.is(r) || r.Proxied != d.want.proxied || r.TTL != d.want.ttl {
		if err := d.edit(ctx, now.claim, r.ID, d.want); err != nil {
			return fmt.Errorf("change %s of %s: %w", inWords(r), now.host, err)
		}
	}
	return nil
}

// add makes the record of a host. What is there already was made by a try before, whose
// answer was lost, or by somebody else.
func (d *DNS) add(ctx context.Context, c claim) error {
	err := d.create(ctx, c, c.host, d.want)
	if err == nil {
		return nil
	}
	failed := fmt.Errorf("make the record %s: %w", d.what(c.host), err)
	if !errors.Is(err, errThere) && !errors.Is(err, errInTheWay) {
		return failed
	}
	now, err := d.look(ctx, c)
	if err != nil {
		return err
	}
	if err := now.refusal(); err != nil {
		return err
	}
	if slices.ContainsFunc(now.own, d.want.is) {
		return nil
	}
	return failed
}

// Remove implements app.DNS. Where the host is not the project's there is nothing to
// remove.
func (d *DNS) Remove(ctx context.Context, slug, host string) error {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	c, err := d.claim(slug, host)
	if err != nil {
		return err
	}
	now, err := d.look(ctx, c)
	if err != nil {
		return err
	}
	for _, r := range now.own {
		if err := d.delete(ctx, c, r.ID); err != nil {
			return fmt.Errorf("remove %s of %s: %w", inWords(r), host, err)
		}
	}
	return d.unmark(ctx, now)
}

// unmark removes the project's marks.
func (d *DNS) unmark(ctx context.Context, now found) error {
	for _, m := range now.ownMarks() {
		if err := d.delete(ctx, now.claim, m.ID); err != nil {
			return fmt.Errorf("remove the mark of %s: %w", now.host, err)
		}
	}
	return nil
}
