package cloudflare

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Whoever is killed where: another attempt completes it, or removes all.
func TestWhatAKilledAttemptLeavesIsCompletedAndRemoved(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"edge.example.net", "192.0.2.1"} {
		w := newWorld(t)
		d := w.dns(target(to))
		w.put("MX", host, "mail.example.com", "")
		somebodys := w.there()
		create := func(ctx context.Context) error { _, err := d.Create(ctx, "shop", host); return err }
		remove := func(ctx context.Context) error { return d.Remove(ctx, "shop", host) }
		gone := func(killAt int, when string) {
			t.Helper()
			if got := w.there(); got != somebodys {
				t.Fatalf("killed at %d, %s: left is\n%s", killAt, when, got)
			}
		}
		creating, removing := w.killed(d, 0, create), w.killed(d, 0, remove)
		gone(0, "removed")
		if creating != 12 || removing != 8 {
			t.Errorf("there are %d and %d boundaries", creating, removing)
		}
		for killAt := 1; killAt <= creating; killAt++ {
			for _, completed := range []bool{true, false} {
				w.killed(d, killAt, create)
				if _, err := d.Plan(t.Context(), "shop", host); err != nil {
					t.Fatalf("killed at %d: it does not know its own: %v\n%s", killAt, err, w.there())
				}
				if completed {
					w.create(d, "shop", host)
					w.verified(d)
				}
				for again := 1; again <= removing; again++ {
					w.killed(d, again, remove)
				}
				w.remove(d, "shop", host)
				gone(killAt, "created, removed over and over")
			}
		}
		for killAt := 1; killAt <= removing; killAt++ {
			w.create(d, "shop", host)
			w.killed(d, killAt, remove)
			if killAt%2 == 0 {
				w.create(d, "shop", host)
				w.verified(d)
			}
			w.remove(d, "shop", host)
			gone(killAt, "removed")
		}
	}
}

// A record of another type, or of another target, is exchanged: killed where it may be.
func TestAKilledChangeOfTheTargetIsCompleted(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"other.example.net", "192.0.2.1"} {
		w := newWorld(t)
		before, after := w.dns(), w.dns(target(to))
		create := func(ctx context.Context) error { _, err := after.Create(ctx, "shop", host); return err }
		for killAt := range 9 {
			w.create(before, "shop", host)
			w.killed(after, killAt, create)
			w.create(after, "shop", host)
			w.verified(after)
			w.remove(after, "shop", host)
			if got := w.there(); got != "" {
				t.Errorf("killed at %d: left is %s", killAt, got)
			}
		}
	}
}

// Each call of all fails in each way: what the next attempt does is what there was to do.
func TestACallThatFailsIsMadeGoodByTheNextAttempt(t *testing.T) {
	t.Parallel()
	soon := "0"
	faults := map[string]cloudflaretest.Fault{
		"500":                     {Status: 500, RetryAfter: soon},
		"500 done":                {Status: 500, RetryAfter: soon, AfterEffect: true},
		"500 twice":               {Status: 500, RetryAfter: soon, Times: 2},
		"503 twice, done":         {Status: 503, RetryAfter: soon, AfterEffect: true, Times: 2},
		"429":                     {Status: 429, RetryAfter: soon},
		"429 for long":            {Status: 429, RetryAfter: "300"},
		"409":                     {Status: 409, RetryAfter: soon},
		"cut":                     {Times: 2},
		"cut, done":               {AfterEffect: true},
		"half an answer":          {CutBody: true},
		"403":                     {Status: 403, Code: 10000},
		"refused":                 {Status: 400, Code: 1004},
		"refused though done":     {Status: 400, Code: 1004, AfterEffect: true},
		"the same is there":       {Status: 400, Code: 81058, AfterEffect: true},
		"it is there":             {Status: 400, Code: 81057, AfterEffect: true},
		"the same is there, lied": {Status: 400, Code: 81058},
		"in the way, lied":        {Status: 400, Code: 81053},
		"gone":                    {Status: 404, Code: 81044, AfterEffect: true},
	}
	matches := []string{"GET ", "name.exact=shop.", "name.exact=_rdev.", "POST ", `"type":"TXT"`, `"type":"CNAME"`, "PATCH ", "DELETE "}
	var all sync.WaitGroup
	for name, fault := range faults {
		for _, match := range matches {
			all.Go(func() {
				w := newWorld(t)
				d := w.dns()
				foreign := w.put("MX", host, "mail.example.com", "")
				if match == "PATCH " {
					w.create(w.dns(target("old.example.net")), "shop", host)
				}
				if match != "DELETE " {
					w.Fail(match, fault)
				}
				if what, err := d.Create(t.Context(), "shop", host); err == nil {
					w.verified(d)
				} else if what != "" || err.Error() == "" {
					t.Errorf("%s at %s: %q, %v", name, match, what, err)
				}
				w.Heal()
				w.create(d, "shop", host)
				w.verified(d)
				if match == "DELETE " {
					w.Fail(match, fault)
				}
				if err := d.Remove(t.Context(), "shop", host); err != nil && err.Error() == "" {
					t.Errorf("%s at %s: %v", name, match, err)
				}
				w.Heal()
				w.remove(d, "shop", host)
				if diff := cmp.Diff([]cloudflaretest.Record{foreign}, w.Snapshot()); diff != "" {
					t.Errorf("%s at %s: %s", name, match, diff)
				}
			})
		}
	}
	all.Wait()
}

func TestWhatCloudflareSaysIsToldToWhomeverItHelps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault cloudflaretest.Fault
		class contract.FailureClass // "" for one that is tried again
		final bool
		says  string
	}{
		"a bad token":          {cloudflaretest.Fault{Status: 403, Code: 9109}, contract.ClassAuth, false, "set PROVISIONER_CLOUDFLARE_TOKEN_FILE: the token needs DNS edit rights on zone example.com"},
		"another's zone":       {cloudflaretest.Fault{Status: 403, Code: 10000}, contract.ClassAuth, false, "set PROVISIONER_CLOUDFLARE_TOKEN_FILE"},
		"no token":             {cloudflaretest.Fault{Status: 401, Code: 1}, contract.ClassAuth, false, "set PROVISIONER_CLOUDFLARE_TOKEN_FILE"},
		"a token that is none": {cloudflaretest.Fault{Status: 400, Code: 6003}, contract.ClassAuth, false, "set PROVISIONER_CLOUDFLARE_TOKEN_FILE"},
		"no such zone":         {cloudflaretest.Fault{Status: 404, Code: 7003}, contract.ClassUser, false, "PROVISIONER_CLOUDFLARE_ZONES"},
		"a record it refuses":  {cloudflaretest.Fault{Status: 400, Code: 1004}, contract.ClassUser, false, "it was told to fail (1004)"},
		"a pause of minutes":   {cloudflaretest.Fault{Status: 429, RetryAfter: "300"}, contract.ClassRateLimit, true, "try again in 300 seconds"},
		"a pause till a date":  {cloudflaretest.Fault{Status: 429, RetryAfter: time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, contract.ClassRateLimit, true, "seconds"},
		"a pause of nobody":    {cloudflaretest.Fault{Status: 429, RetryAfter: "1e300"}, contract.ClassRateLimit, true, "try again in 3600 seconds"},
		"more than one pause":  {cloudflaretest.Fault{Status: 429, RetryAfter: "0", Times: 2}, contract.ClassRateLimit, false, "try again later"},
		"a long outage":        {cloudflaretest.Fault{Status: 503, RetryAfter: "300"}, "", false, "503"},
		"an outage":            {cloudflaretest.Fault{Status: 502, RetryAfter: "0", Times: 2}, "", false, "502"},
		"half an answer":       {cloudflaretest.Fault{CutBody: true}, "", false, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.dns()
			w.Fail("GET ", c.fault)
			_, err := d.Plan(t.Context(), "shop", host)
			known, ok := errors.AsType[*app.StepError](err)
			if ok && (known.Final != c.final || known.Failure.Retryable != (c.class == contract.ClassRateLimit)) {
				t.Errorf("it is %+v, %+v", known, known.Failure)
			}
			if c.class != "" {
				refused(t, err, c.class, c.says)
			} else if ok || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if calls := len(w.Calls()); calls != max(1, c.fault.Times) {
				t.Errorf("it asked %d times", calls)
			}
		})
	}
}

func TestATokenThatIsRefusedIsNotSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dns(func(c *Config) { c.Token = "canary" })
	_, err := d.Plan(t.Context(), "shop", host)
	refused(t, err, contract.ClassAuth, "zone example.com (403: Invalid access token (9109))")
	if strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	d = w.dns(func(c *Config) { c.Zones = map[string]string{"example.com": cloudflaretest.ZoneID(9)} })
	_, err = d.Create(t.Context(), "shop", host)
	refused(t, err, contract.ClassAuth, "zone example.com")
}

// What was done, though nobody heard of it, is found: by the library's other try already.
func TestAnAnswerThatIsLostIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, match := range []string{`"type":"TXT"`, `"type":"CNAME"`, "PATCH ", "DELETE "} {
		w := newWorld(t)
		w.create(w.dns(target("old.example.net")), "shop", host)
		if match != "PATCH " {
			w.remove(w.dns(), "shop", host)
		}
		d := w.dns()
		lost := cloudflaretest.Fault{Status: 502, RetryAfter: "0", AfterEffect: true}
		w.Fail(match, lost)
		w.create(d, "shop", host)
		w.verified(d)
		w.Heal()
		w.Fail(match, lost)
		w.remove(d, "shop", host)
		if got := w.there(); got != "" {
			t.Errorf("%s: left is %s", match, got)
		}
	}
}

func TestAHostThatCannotBeMarkedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Fail(`"type":"TXT"`, cloudflaretest.Fault{Status: 400, Code: 81053})
	_, err := w.dns().Create(t.Context(), "shop", host)
	refused(t, err, contract.ClassUser, "no TXT record _rdev."+host+" beside what is there")
	if got := w.there(); got != "" {
		t.Errorf("there is %s", got)
	}
}

func TestWhatIsGoneMeanwhileIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(w.dns(), "shop", host)
	w.Before("DELETE ", func() { w.Drop(host) })
	w.remove(w.dns(), "shop", host)
	if got := w.there(); got != "" {
		t.Errorf("left is %s", got)
	}
}

func TestAnAnswerThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	for _, match := range []string{"GET ", `"type":"TXT"`, `"type":"CNAME"`, "PATCH ", "DELETE "} {
		w := newWorld(t)
		d := w.dns()
		if match == "PATCH " || match == "DELETE " {
			w.create(w.dns(target("old.example.net")), "shop", host)
		}
		w.Fail(match, cloudflaretest.Fault{Status: 200})
		_, err := d.Create(t.Context(), "shop", host)
		if match == "DELETE " {
			err = d.Remove(t.Context(), "shop", host)
		}
		if err == nil || !strings.Contains(err.Error(), "the answer ") {
			t.Errorf("%s: %v", match, err)
		}
	}
}

func TestEachMethodHasALimitOfTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dns()
	d.limit = 0
	_, planned := d.Plan(t.Context(), "shop", host)
	_, created := d.Create(t.Context(), "shop", host)
	_, verified := d.Verify(t.Context(), "shop", host)
	for _, err := range []error{planned, created, verified, d.Remove(t.Context(), "shop", host)} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	if calls := w.Calls(); len(calls) > 0 {
		t.Errorf("asked was %q", calls)
	}
}

// The library takes no deadline to the second page of a list.
func TestAPageThatHangsEndsWithTheDeadline(t *testing.T) {
	t.Parallel()
	for _, match := range []string{"page=1", "page=2"} {
		w := newWorld(t)
		w.PageSize(1)
		w.put("TXT", host, "a", "")
		w.put("TXT", host, "b", "")
		d := w.dns()
		ctx, cancel := context.WithCancel(t.Context())
		w.Fail(match, cloudflaretest.Fault{Hang: true})
		w.Before(match, cancel)
		if _, err := d.Plan(ctx, "shop", host); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", match, err)
		}
	}
}

// Somebody comes between our looks and what we make of them.
func TestWhoComesBetweenIsFound(t *testing.T) {
	t.Parallel()
	theirs := strings.Replace(ours, "=one", "=two", 1)
	for name, c := range map[string]struct {
		to    string
		match string // before this call
		do    func(w *world)
		want  string // part of the refusal, "" where it goes well
		left  int    // of the records of theirs
	}{
		"a mark before ours":              {"192.0.2.1", "POST ", func(w *world) { w.mark(theirs) }, `of the installation "two"`, 1},
		"a record before our mark":        {"192.0.2.1", "POST ", func(w *world) { w.put("A", host, "192.0.2.9", "") }, `A "192.0.2.9"`, 1},
		"a name before our mark":          {"192.0.2.1", "POST ", func(w *world) { w.put("CNAME", host, "x.example.net", "") }, `CNAME "x.example.net"`, 1},
		"a name before our record":        {"192.0.2.1", `"type":"A"`, func(w *world) { w.put("CNAME", host, "x.example.net", "") }, `CNAME "x.example.net"`, 1},
		"an address before our record":    {"edge.example.net", `"type":"CNAME"`, func(w *world) { w.put("A", host, "192.0.2.9", "") }, `A "192.0.2.9"`, 1},
		"another name before our record":  {"edge.example.net", `"type":"CNAME"`, func(w *world) { w.put("CNAME", host, "x.example.net", "") }, `CNAME "x.example.net"`, 1},
		"our own record, by an elder try": {"edge.example.net", `"type":"CNAME"`, func(w *world) { w.put("CNAME", host, "edge.example.net", "rdev project=shop") }, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.dns(target(c.to))
			w.Before(c.match, func() { c.do(w) })
			_, err := d.Create(t.Context(), "shop", host)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				w.verified(d)
				return
			}
			refused(t, err, contract.ClassUser, c.want)
			w.remove(d, "shop", host)
			if got := w.Snapshot(); len(got) != c.left || strings.Contains(w.there(), "rdev/owner=one") || strings.Contains(w.there(), "rdev project=shop") {
				t.Errorf("there is\n%s", w.there())
			}
		})
	}
}

// Of two who claim a host at once one has it, and the other leaves nothing.
func TestOfTwoAtOnceOneHasTheHost(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"edge.example.net", "192.0.2.1"} {
		for at := range 6 { // the other's whole attempt goes before this call of ours
			w := newWorld(t)
			one, two := w.dns(target(to)), w.dns(target(to), installation("two"))
			made := 0
			other := func() {
				_, err := two.Create(t.Context(), "shop", host)
				if err == nil {
					made++
				} else {
					refused(t, err, contract.ClassUser, `of the installation "one"`)
				}
			}
			calls := []string{"name.exact=_rdev.", "name.exact=shop.", `"type":"TXT"`, "name.exact=_rdev.", "name.exact=shop.", `"content":"` + to + `"`}
			if at >= 3 { // after our mark: by then these were called once
				w.Before(calls[2], func() { w.Before(calls[at], other) })
			} else {
				w.Before(calls[at], other)
			}
			_, err := one.Create(t.Context(), "shop", host)
			if err == nil {
				made++
			} else {
				refused(t, err, contract.ClassUser, host)
			}
			if made != 1 || len(w.Snapshot()) != 2 {
				t.Errorf("at %d %d have it:\n%s", at, made, w.there())
			}
		}
	}
}

// Both have marked it before one of them looks.
func TestOfTwoWhoseMarksAreThereTheOlderOneCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.dns(), w.dns(installation("two"))
	w.Before(`rdev/owner=one`, func() { // then it looks again
		w.Before("name.exact=_rdev.", func() { w.mark(strings.Replace(ours, "=one", "=two", 1)) })
	})
	w.create(one, "shop", host)
	if len(w.Snapshot()) != 3 {
		t.Errorf("there is\n%s", w.there())
	}
	_, err := two.Create(t.Context(), "shop", host)
	refused(t, err, contract.ClassUser, `of the installation "one"`)
	if len(w.Snapshot()) != 2 {
		t.Errorf("there is\n%s", w.there())
	}
	w.verified(one)
}
