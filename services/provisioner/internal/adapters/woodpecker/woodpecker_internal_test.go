package woodpecker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker/woodpeckertest"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func TestARepositoryIsActivatedAndRemoved(t *testing.T) {
	w := newWorld(t)
	if err := w.Plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	active := func(want bool) {
		t.Helper()
		if _, got := w.ci.Repository("rdev/shop"); got != want {
			t.Errorf("active %t", got)
		}
	}
	active(false)
	made := w.activate(shop(), map[string]string{"DATABASE_URL": "postgres://canary", "REDIS_URL": "redis://canary"})
	if made.ID != "1" || made.URL != w.ci.URL+"/repos/1" {
		t.Errorf("%+v", made)
	}
	active(true)
	for name, want := range map[string]string{"database_url": "postgres://canary", "redis_url": "redis://canary"} {
		value, events, ok := w.ci.Secret("rdev/shop", name)
		if !ok || value != want || slices.Contains(events, "pull_request") || len(events) != 5 {
			t.Errorf("%s is %q for %v", name, value, events)
		}
	}
	// With other secrets: the value is replaced, and what it has no more is gone. What
	// somebody else set stays.
	w.ci.PutSecret("rdev/shop", "npm_token", "theirs", "push")
	if again := w.activate(shop(), map[string]string{"DATABASE_URL": "postgres://other"}); again != made {
		t.Errorf("%+v", again)
	}
	if value, _, _ := w.ci.Secret("rdev/shop", "database_url"); value != "postgres://other" {
		t.Errorf("it is %q", value)
	}
	if _, _, ok := w.ci.Secret("rdev/shop", "redis_url"); ok {
		t.Error("the project has no cache any more, and the CI has its secret")
	}
	if value, _, _ := w.ci.Secret("rdev/shop", "npm_token"); value != "theirs" {
		t.Errorf("a secret of somebody's is %q", value)
	}
	// One that somebody deactivated is taken again, as the same.
	w.ci.Deactivate("rdev/shop")
	active(false)
	if again := w.activate(shop(), nil); again != made {
		t.Errorf("%+v", again)
	}
	active(true)

	// Also where it is gone from the forge.
	w.mu.Lock()
	clear(w.forge)
	w.mu.Unlock()
	for range 2 {
		if err := w.Remove(t.Context(), shop()); err != nil {
			t.Error(err)
		}
	}
	if got := w.ci.Dump(); got != "" {
		t.Errorf("left is %s", got)
	}
	active(false)
}

func TestDifferencesAreToldInWordsAndNothingIsChanged(t *testing.T) {
	w := newWorld(t)
	differ := func(secrets []string, want ...string) {
		t.Helper()
		before := w.ci.Dump()
		got, err := w.Verify(t.Context(), shop(), secrets)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if after := w.ci.Dump(); after != before {
			t.Errorf("there was %s, and is %s", before, after)
		}
	}
	differ(nil, "the CI does not have rdev/shop")
	w.activate(shop(), map[string]string{"DATABASE_URL": "x"})
	differ([]string{"DATABASE_URL"})
	differ([]string{"DATABASE_URL", "REDIS_URL", "OTHER"}, "the CI does not have the secret other", "the CI does not have the secret redis_url")
	differ(nil, "the CI has a secret database_url which the project has not")
	w.ci.PutSecret("rdev/shop", "database_url", "x", "push", "pull_request")
	w.ci.PutSecret("rdev/shop", "theirs", "x", "push")
	w.ci.Deactivate("rdev/shop")
	differ([]string{"DATABASE_URL"}, "no pipelines run for rdev/shop", "the secret database_url is for push, pull_request, and not for push, tag, deployment, manual, cron")
	w.ci.Forget("rdev/shop")
	w.ci.Activate("9", "rdev/shop")
	differ(nil, "the CI has the repository 9 of the forge as rdev/shop, and not 2")
}

func TestWhatSomebodyCanMendSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	activate := func(r app.Repository) error { _, err := w.Activate(t.Context(), r, nil); return err }
	tried := func() (posts int) {
		for _, call := range w.ci.Calls() {
			if call.Method == http.MethodPost {
				posts++
			}
		}
		return posts
	}

	w.ci.LogOut(true)
	wantFailure(t, activate(shop()), contract.ClassAuth, "the user of its token has to log in to the CI again, or has no rights on the repository")
	if tried() != 2 {
		t.Errorf("tried %d times", tried())
	}
	w.ci.LogOut(false)
	wantFailure(t, activate(app.Repository{ID: "9", Name: "rdev/gone"}), contract.ClassAuth, "rdev/gone")

	w.ci.Deny("3")
	wantFailure(t, activate(app.Repository{ID: "3", Name: "rdev/blog"}), contract.ClassAuth, "its user has to be an admin of the repository")

	w.ci.Fail(woodpeckertest.Fault{Path: "/secrets", Status: http.StatusForbidden})
	_, err := w.Activate(t.Context(), app.Repository{ID: "2", Name: "rdev/shop"}, map[string]string{"DATABASE_URL": "x"})
	wantFailure(t, err, contract.ClassAuth, "the user of its token has to be an admin of the repository")
	w.ci.Forget("rdev/shop")

	w.ci.Activate("7", "rdev/shop")
	wantFailure(t, activate(shop()), contract.ClassUser, "of the repository 7 of the forge and not of 2: remove it there")
	w.ci.Forget("rdev/shop")
	w.ci.Activate("2", "rdev/before")
	wantFailure(t, activate(shop()), contract.ClassUser, "under another name than rdev/shop")

	for _, name := range []string{"", "shop", "rdev/", "/shop", "rdev/..", "../shop", "rdev/./shop"} {
		if _, err := w.Known(t.Context(), name); err == nil {
			t.Errorf("%q is a full name", name)
		}
	}
	if err := activate(app.Repository{Name: "rdev/shop"}); err == nil {
		t.Error("without an id it was activated")
	}
}

func TestOneTryMoreIsMadeWhereTheForgeWasAwayForAMoment(t *testing.T) {
	w := newWorld(t)
	w.ci.Fail(woodpeckertest.Fault{Method: "POST", Status: 500})
	w.activate(shop(), nil)
	w.ci.Forget("rdev/shop")
	w.ci.Fail(woodpeckertest.Fault{Method: "POST", Status: 500, AfterEffect: true})
	w.activate(shop(), nil)
	w.ci.Forget("rdev/shop") // and another was first
	w.ci.Fail(woodpeckertest.Fault{Method: "POST", Status: 409, AfterEffect: true})
	w.activate(shop(), nil)
}

// every calls all methods of app.CI, with what each is called.
func (w *world) every(ctx context.Context) map[string]error {
	all := map[string]error{"plan": w.Plan(ctx)}
	_, all["known"] = w.Known(ctx, "rdev/shop")
	_, all["activate"] = w.Activate(ctx, shop(), map[string]string{"DATABASE_URL": "x"})
	_, all["verify"] = w.Verify(ctx, shop(), []string{"DATABASE_URL"})
	all["release"] = w.Release(ctx, shop())
	all["remove"] = w.Remove(ctx, shop())
	return all
}

// everyOf calls all methods of app.Pipelines.
func (w *world) everyOf(ctx context.Context, of app.CIOf) map[string]error {
	all := map[string]error{"cancel": w.Cancel(ctx, of, 1)}
	_, _, all["list"] = w.List(ctx, of, "", 10)
	_, all["get"] = w.Get(ctx, of, 1)
	_, all["run"] = w.Run(ctx, of, contract.RunPipeline{})
	_, all["rerun"] = w.Rerun(ctx, of, 1)
	_, all["logs"] = w.Logs(ctx, of, 1, 1)
	return all
}

func TestATokenThatHasExpiredIsSaidByEveryCall(t *testing.T) {
	w := newWorld(t)
	of := w.activated()
	before := w.ci.Dump()
	w.ci.Expire(true)
	all := w.every(t.Context())
	maps.Copy(all, w.everyOf(t.Context(), of))
	for what, err := range all {
		wantFailure(t, err, contract.ClassAuth, "the token of the CI is not accepted any more: make another one, and set PROVISIONER_WOODPECKER_TOKEN_FILE")
		if strings.Contains(err.Error(), woodpeckertest.Token) {
			t.Errorf("%s repeats the token: %v", what, err)
		}
	}
	if got := w.ci.Dump(); got != before {
		t.Errorf("there is %s", got)
	}
	w.ci.Expire(false)
	w.activated()
}

func TestAskedToWaitForLongItSaysSoAndForAMomentItWaits(t *testing.T) {
	w := newWorld(t)
	w.ci.Fail(woodpeckertest.Fault{Status: 429, RetryAfter: "3600"})
	wantFailure(t, w.Plan(t.Context()), contract.ClassRateLimit, "a pause of 1h0m0s")
	w.ci.Fail(woodpeckertest.Fault{Status: 429, RetryAfter: time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")})
	wantFailure(t, w.Plan(t.Context()), contract.ClassRateLimit, "a pause of ")
	w.ci.Fail(woodpeckertest.Fault{Status: 429, RetryAfter: "0"})
	if err := w.Plan(t.Context()); err != nil {
		t.Error(err)
	}
	w.ci.Fail(woodpeckertest.Fault{Status: 429}, woodpeckertest.Fault{Status: 429})
	wantFailure(t, w.Plan(t.Context()), contract.ClassRateLimit, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Plan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
}

// step is a method that is carried out, with what is there before and after.
type step struct {
	before func() error
	do     func(context.Context) error
	check  func() error
}

// steps are the methods that change something, and what is there once each was carried
// out, however often it was begun.
func steps(w *world) map[string]step {
	secrets := map[string]string{"DATABASE_URL": "new", "REDIS_URL": "new"}
	state := func(want string) func() error {
		return func() error {
			if got := w.ci.Dump("rdev/blog"); got != want {
				return fmt.Errorf("there is\n%s\nand not\n%s", got, want)
			}
			return nil
		}
	}
	of := func() app.CIOf { return app.CIOf{ID: fmt.Sprint(w.ci.Activate("2", "rdev/shop")), Forge: "2"} }
	activate := func(ctx context.Context) error { _, err := w.Activate(ctx, shop(), secrets); return err }
	verify := func() error {
		got, err := w.Verify(w.t.Context(), shop(), []string{"DATABASE_URL", "REDIS_URL"})
		if value, _, _ := w.ci.Secret("rdev/shop", "database_url"); len(got) > 0 || value != "new" {
			return fmt.Errorf("%v, and DATABASE_URL is %q", got, value)
		}
		return err
	}
	nothing := func() error { w.ci.Forget("rdev/shop"); return nil }
	there := func() error {
		w.ci.Activate("2", "rdev/shop")
		w.ci.PutSecret("rdev/shop", "database_url", "old", "push")
		w.ci.PutSecret("rdev/shop", "theirs", "old", "push")
		return nil
	}
	inactive := func() error { defer w.ci.Deactivate("rdev/shop"); return there() }
	fewer := func(ctx context.Context) error {
		_, err := w.Activate(ctx, shop(), nil)
		return err
	}
	return map[string]step{
		"activate":            {nothing, activate, verify},
		"activate what it is": {there, activate, verify},
		"activate again":      {inactive, activate, verify},
		"fewer secrets": {there, fewer, func() error {
			if differences, err := w.Verify(w.t.Context(), shop(), nil); len(differences) > 0 || err != nil {
				return fmt.Errorf("%v, %w", differences, err)
			}
			return nil
		}},
		"remove": {there, func(ctx context.Context) error { return w.Remove(ctx, shop()) }, state("")},
		"run": {there, func(ctx context.Context) error {
			_, err := w.Run(ctx, of(), contract.RunPipeline{Request: "r", Variables: map[string]string{"K": "V"}})
			return err
		}, func() error {
			list, _, err := w.List(w.t.Context(), of(), "", 10)
			if len(list) != 1 {
				return fmt.Errorf("%d pipelines, %w", len(list), err)
			}
			return err
		}},
		"cancel": {
			func() error { defer w.ci.Push("rdev/shop", "main", "m"); return there() },
			func(ctx context.Context) error {
				if err := w.Cancel(ctx, of(), 1); err != nil && !isStatus(err, 400) {
					return err // one that is cancelled already is a 400
				}
				return nil
			},
			func() error {
				p, err := w.Get(w.t.Context(), of(), 1)
				if p.Status != contract.PipelineCanceled {
					return fmt.Errorf("it is %s, %w", p.Status, err)
				}
				return err
			},
		},
	}
}

// Whoever is killed where: another attempt completes it.
func TestWhatAKilledAttemptLeavesIsCompleted(t *testing.T) {
	w := newWorld(t)
	w.ci.Activate("3", "rdev/blog")
	w.ci.PutSecret("rdev/blog", "database_url", "theirs", "push")
	blog := w.ci.Dump("rdev/shop")
	for what, step := range steps(w) {
		boundaries := 0
		for killAt := 0; killAt <= boundaries; killAt++ {
			w.ci.Activate("2", "rdev/shop")
			w.ci.Forget("rdev/shop")
			w.ci.Activate("2", "rdev/shop")
			if err := step.before(); err != nil {
				t.Fatal(err)
			}
			m, end := w.dies(killAt)
			err := step.do(t.Context())
			end()
			if killAt == 0 {
				if boundaries = m.passed; err != nil || boundaries < 4 {
					t.Fatalf("%s: %d boundaries, %v", what, boundaries, err)
				}
			} else if err == nil {
				t.Fatalf("%s, killed at %d of %d: it went well", what, killAt, boundaries)
			}
			if err := cmp.Or(step.do(t.Context()), step.check()); err != nil {
				t.Fatalf("%s, killed at %d of %d: %v", what, killAt, boundaries, err)
			}
		}
	}
	if got := w.ci.Dump("rdev/shop"); got != blog {
		t.Errorf("of another there was\n%s\nand is\n%s", blog, got)
	}
}

// Each call of each method fails in each way, before and after its effect; another attempt
// completes it.
func TestWhatAFailureLeavesIsCompleted(t *testing.T) {
	w := newWorld(t)
	for what, step := range steps(w) {
		for kind, fault := range map[string]woodpeckertest.Fault{
			"cut": {}, "cut after its effect": {AfterEffect: true}, "half an answer": {CutBody: true},
			"500": {Status: 500}, "500 after its effect": {Status: 500, AfterEffect: true}, "502": {Status: 502}, "429": {Status: 429, RetryAfter: "60"},
			"silence": {Hang: true}, "silence after its effect": {Hang: true, AfterEffect: true},
		} {
			for call, reached := 1, true; reached; call++ {
				w.ci.Activate("2", "rdev/shop")
				w.ci.Forget("rdev/shop")
				w.ci.Activate("2", "rdev/shop")
				if err := step.before(); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				fault.Call, fault.Hung = call, cancel
				w.ci.Fail(fault)
				_ = step.do(ctx)
				cancel()
				reached = w.ci.Faults() == 0 && call < 30
				if err := cmp.Or(step.do(t.Context()), step.check()); err != nil {
					t.Fatalf("%s, %s at call %d: %v", what, kind, call, err)
				}
			}
		}
	}
}

// The CI is filled with all kinds of repositories and secrets: what is not ours never
// changes.
func TestWhatIsNotOursIsNeverChanged(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		w := newWorld(t)
		for id := 3; id < 3+random.IntN(4); id++ {
			name := fmt.Sprintf("rdev/other-%d", id)
			w.ci.Activate(fmt.Sprint(id), name)
			w.ci.PutSecret(name, "database_url", "theirs", "push")
			if random.IntN(2) == 0 {
				w.ci.Deactivate(name)
			}
			w.ci.Push(name, "main", "m")
		}
		// Of the same name there may be the one of another repository of the forge, of which
		// the name was taken over.
		foreign := random.IntN(3) == 0
		own := []string{}
		if foreign {
			w.ci.Activate("77", "rdev/shop")
			w.ci.PutSecret("rdev/shop", "database_url", "theirs", "push")
		} else {
			own = append(own, "rdev/shop")
			w.ci.Activate("2", "rdev/shop")
		}
		theirs := []string{"npm_token", "database_url_2", "adatabase_url", "database", "redis_url2"}
		for _, name := range theirs {
			w.ci.PutSecret("rdev/shop", name, "theirs", "push")
		}
		before := w.ci.Dump(own...)
		for range 4 {
			switch random.IntN(4) {
			case 0:
				secrets := map[string]string{}
				for _, name := range []string{"DATABASE_URL", "REDIS_URL"} {
					if random.IntN(2) == 0 {
						secrets[name] = "ours"
					}
				}
				if _, err := w.Activate(t.Context(), shop(), secrets); (err != nil) != foreign {
					t.Fatal(err)
				}
				for _, name := range theirs {
					if value, events, _ := w.ci.Secret("rdev/shop", name); value != "theirs" || len(events) != 1 {
						t.Fatalf("round %d: the secret %s is %q for %v", round, name, value, events)
					}
				}
			case 1:
				if _, err := w.Verify(t.Context(), shop(), nil); err != nil {
					t.Fatal(err)
				}
			case 2:
				if err := w.Release(t.Context(), shop()); err != nil {
					t.Fatal(err)
				}
			case 3:
				if err := w.Remove(t.Context(), shop()); err != nil {
					t.Fatal(err)
				}
				w.ci.Activate("2", "rdev/shop-2") // so that the next finds something else
				w.ci.Forget("rdev/shop-2")
				if !foreign {
					w.ci.Activate("2", "rdev/shop")
					for _, name := range theirs {
						w.ci.PutSecret("rdev/shop", name, "theirs", "push")
					}
				}
			}
			if after := w.ci.Dump(own...); after != before {
				t.Fatalf("round %d: there was\n%s\nand is\n%s", round, before, after)
			}
		}
		w.ci.Close()
	}
}

func TestAnAddressOrTokenThatIsNoneIsNotRepeated(t *testing.T) {
	for _, c := range [][2]string{
		{"", "t"},
		{"ftp://canary", "t"},
		{"https://", "t"},
		{"https://u:canary@ci.example", "t"},
		{"https://ci.example/?canary", "t"},
		{"http://canary\x7f", "t"},
		{"https://ci.example", ""},
		{"https://ci.example", "canary\n"},
		{"https://ci.example", "can ary"},
		{"https://ci.example", "canäry"},
	} {
		if _, err := New(c[0], c[1]); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestTheTokenFollowsNoRedirect(t *testing.T) {
	elsewhere := newWorld(t)
	mover := httptest.NewServer(http.RedirectHandler(elsewhere.ci.URL+"/api/user", http.StatusTemporaryRedirect))
	defer mover.Close()
	s, err := New(mover.URL, woodpeckertest.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Plan(t.Context()); !isStatus(err, http.StatusTemporaryRedirect) || len(elsewhere.ci.Calls()) > 0 {
		t.Errorf("%v, and there came %v", err, elsewhere.ci.Calls())
	}
}

func TestAnErrorRepeatsNoSecret(t *testing.T) {
	w := newWorld(t)
	err := withoutValue(&answerError{500, "cannot store postgres://canary in x"}, "postgres://canary")
	if strings.Contains(err.Error(), "canary") || !isStatus(err, 500) {
		t.Error(err)
	}
	w.ci.Close()
	_, err = w.Activate(t.Context(), shop(), map[string]string{"DATABASE_URL": "canary"})
	if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), woodpeckertest.Token) {
		t.Errorf("without a CI: %v", err)
	}
}
