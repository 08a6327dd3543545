package provisioner_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker/woodpeckertest"
)

// BenchmarkAProjectWithAll makes a project that has all, and beside it, in turns, the same
// things by bare requests to the same servers, one after another, with no mark, no look
// beforehand and no event. Woodpecker and Cloudflare are the fakes, and answer at once.
//
//	ms/raw       the bare requests
//	ms/project   from the command to the end of its operation
//	x-at-once    how much longer its steps would take one after another
func BenchmarkAProjectWithAll(b *testing.B) {
	e := newEverything(b)
	e.begin()
	e.gate.set(0, "")
	e.made(whole("warm"))
	e.raw(b.Context(), "raw-warm")
	var raw, project, steps time.Duration
	n := 0
	for b.Loop() {
		n++
		begun := time.Now()
		e.raw(b.Context(), fmt.Sprintf("raw%d", n))
		raw += time.Since(begun)
		begun = time.Now()
		op := e.made(whole(fmt.Sprintf("p%d", n)))
		project += time.Since(begun)
		steps += oneByOne(op)
	}
	b.ReportMetric(0, "ns/op") // it is of both
	b.ReportMetric(float64(raw.Milliseconds())/float64(n), "ms/raw")
	b.ReportMetric(float64(project.Milliseconds())/float64(n), "ms/project")
	b.ReportMetric(float64(steps)/float64(project), "x-at-once")
}

// oneByOne is how long the steps of an operation took in all: each from the end of the last
// that it needs.
func oneByOne(op contract.Operation) (total time.Duration) {
	at := map[string]time.Time{}
	for _, step := range op.Provisioning {
		at[step.Name] = step.At
	}
	for _, step := range op.Provisioning {
		from := *op.StartedAt
		for _, need := range step.Needs {
			if at[need].After(from) {
				from = at[need]
			}
		}
		total += step.At.Sub(from)
	}
	return total
}

// raw makes what a project has, by as few requests as that takes.
func (e *everything) raw(ctx context.Context, name string) {
	e.t.Helper()
	repository, _, err := e.gitea.CreateOrgRepo(e.settings.Organization, sdk.CreateRepoOption{Name: name, AutoInit: true})
	if err != nil {
		e.t.Fatal(err)
	}
	ci := e.settings.Woodpecker + "/api/repos"
	var activated struct{ ID int64 }
	e.post(ctx, woodpeckertest.Token, fmt.Sprintf("%s?forge_remote_id=%d", ci, repository.ID), "", &activated)
	for _, secret := range []string{"database_url", "redis_url"} {
		e.post(ctx, woodpeckertest.Token, fmt.Sprintf("%s/%d/secrets", ci, activated.ID), `{"name":"`+secret+`","value":"secret","events":["push"]}`, &struct{}{})
	}
	for _, host := range []string{name, "www-" + name} {
		e.post(ctx, cloudflaretest.Token, e.settings.Cloudflare+"/zones/"+cloudflaretest.ZoneID(1)+"/dns_records",
			`{"type":"A","name":"`+host+`.apps.localhost","content":"203.0.113.7","ttl":1}`, &struct{}{})
	}
	for _, statement := range []string{`create role "%s" login password 'secret'`, `create database "%[1]s" owner "%[1]s"`} {
		if _, err := e.pool.Exec(ctx, fmt.Sprintf(statement, name)); err != nil {
			e.t.Fatal(err)
		}
	}
	for _, command := range [][]any{{"ACL", "SETUSER", name, "on", ">secret", "~" + name + ":*", "+@all"}, {"ACL", "SAVE"}} {
		if err := e.redis.Do(ctx, command...).Err(); err != nil {
			e.t.Fatal(err)
		}
	}
}

// post sends a request, and decodes its answer.
func (e *everything) post(ctx context.Context, token, url, body string, into any) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: testkit.Patience}
	response, err := client.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(text, into) != nil {
		e.t.Fatalf("%s: %d %s", url, response.StatusCode, text)
	}
}
