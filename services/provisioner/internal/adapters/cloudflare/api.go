package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/option"
)

const (
	// perPage is how many records are asked for at a time, and maxPages how often: no name
	// has so many.
	perPage  = 100
	maxPages = 50
)

// set sets a field of the library's, which it does not send where it is not present.
func set[T any](value *T, present *bool, to T) { *value, *present = to, true }

// call makes one call of the library's.
func call(c claim, do func(option.RequestOption) error) error {
	var answer *http.Response
	err := do(option.WithResponseInto(&answer))
	return told(c.zoneName, answer, err)
}

// list is all records of a name. The library could turn the pages by itself, but forgets the
// deadline at the second one.
func (d *DNS) list(ctx context.Context, c claim, name string) (records []dns.RecordResponse, err error) {
	var params dns.RecordListParams
	set(&params.ZoneID.Value, &params.ZoneID.Present, c.zone)
	params.Name.Present = true
	set(&params.Name.Value.Exact.Value, &params.Name.Value.Exact.Present, name)
	set(&params.PerPage.Value, &params.PerPage.Present, perPage)
	seen := map[string]bool{} // a page may begin with what another ended with
	for page := range maxPages {
		set(&params.Page.Value, &params.Page.Present, float64(page+1))
		var some []dns.RecordResponse
		var size int64
		err := call(c, func(into option.RequestOption) error {
			answer, err := d.records.List(ctx, params, into)
			if err != nil {
				return err
			}
			var envelope struct {
				Success bool
				Result  []json.RawMessage
			}
			if answer == nil || json.Unmarshal([]byte(answer.JSON.RawJSON()), &envelope) != nil || !envelope.Success || envelope.Result == nil {
				return errors.New("the answer has no list")
			}
			some, size = answer.Result, answer.ResultInfo.PerPage
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, r := range some {
			if strings.EqualFold(r.Name, name) && !seen[r.ID] {
				seen[r.ID] = true
				records = append(records, r)
			}
		}
		if len(some) == 0 || int64(len(some)) < size {
			return records, nil
		}
	}
	return nil, fmt.Errorf("there are more than %d pages of records of %s", maxPages, name)
}

// create makes a record.
func (d *DNS) create(ctx context.Context, c claim, name string, want lead) error {
	var body dns.RecordNewParamsBody
	set(&body.Name.Value, &body.Name.Present, name)
	set(&body.Type.Value, &body.Type.Present, dns.RecordNewParamsBodyType(want.kind))
	set(&body.Content.Value, &body.Content.Present, want.content)
	set(&body.TTL.Value, &body.TTL.Present, want.ttl)
	set(&body.Comment.Value, &body.Comment.Present, c.mark.comment())
	if want.kind != dns.RecordResponseTypeTXT { // which cannot be proxied
		set(&body.Proxied.Value, &body.Proxied.Present, want.proxied)
	}
	params := dns.RecordNewParams{Body: body}
	set(&params.ZoneID.Value, &params.ZoneID.Present, c.zone)
	return call(c, func(into option.RequestOption) error {
		made, err := d.records.New(ctx, params, into)
		return answered(err, made != nil && made.ID != "")
	})
}

// edit changes of a record what is rdev's to say.
func (d *DNS) edit(ctx context.Context, c claim, id string, want lead) error {
	var body dns.RecordEditParamsBody
	set(&body.Content.Value, &body.Content.Present, want.content)
	set(&body.TTL.Value, &body.TTL.Present, want.ttl)
	set(&body.Proxied.Value, &body.Proxied.Present, want.proxied)
	params := dns.RecordEditParams{Body: body}
	set(&params.ZoneID.Value, &params.ZoneID.Present, c.zone)
	return call(c, func(into option.RequestOption) error {
		now, err := d.records.Edit(ctx, id, params, into)
		return answered(err, now != nil && now.ID == id)
	})
}

// delete removes a record, or finds it gone.
func (d *DNS) delete(ctx context.Context, c claim, id string) error {
	var params dns.RecordDeleteParams
	set(&params.ZoneID.Value, &params.ZoneID.Present, c.zone)
	err := call(c, func(into option.RequestOption) error {
		gone, err := d.records.Delete(ctx, id, params, into)
		return answered(err, gone != nil && gone.ID == id)
	})
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// answered is err, and an error where an answer is none though it says that all is well.
func answered(err error, ok bool) error {
	if err == nil && !ok {
		return errors.New("the answer is not about the record")
	}
	return err
}
