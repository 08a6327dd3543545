package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// allowed is who may do what: the scope for each call, "" for every key.
//
// What belongs to a project is of the project shop; {op} is an operation of it
// that has ended.
var allowed = map[string]string{
	"POST /projects":                                           "projects:write",
	"GET /projects":                                            "projects:read",
	"GET /projects/{project}":                                  "projects:read",
	"DELETE /projects/{project}":                               "projects:write",
	"POST /projects/{project}/repair":                          "projects:write",
	"GET /projects/{project}/drift":                            "projects:read",
	"GET /projects/{project}/domains":                          "projects:read",
	"POST /projects/{project}/domains":                         "projects:write",
	"DELETE /projects/{project}/domains/{host}":                "projects:write",
	"GET /projects/{project}/components":                       "projects:read",
	"POST /projects/{project}/components":                      "projects:write",
	"POST /projects/{project}/database":                        "projects:write",
	"DELETE /projects/{project}/database":                      "projects:write",
	"POST /projects/{project}/database/rotate":                 "projects:write",
	"POST /projects/{project}/cache":                           "projects:write",
	"DELETE /projects/{project}/cache":                         "projects:write",
	"POST /projects/{project}/cache/rotate":                    "projects:write",
	"POST /projects/{project}/repository/rotate":               "projects:write",
	"GET /projects/{project}/budget":                           "projects:read",
	"PUT /projects/{project}/budget":                           "budgets:write",
	"POST /projects/{project}/commands":                        "commands:run",
	"GET /projects/{project}/pipelines":                        "projects:read",
	"POST /projects/{project}/pipelines":                       "projects:write",
	"GET /projects/{project}/pipelines/{pipeline}":             "projects:read",
	"POST /projects/{project}/pipelines/{pipeline}/cancel":     "projects:write",
	"POST /projects/{project}/pipelines/{pipeline}/rerun":      "projects:write",
	"GET /projects/{project}/pipelines/{pipeline}/logs/{step}": "projects:read",
	"GET /operations":                                          "operations:read",
	"GET /operations/{id}":                                     "operations:read",
	"POST /operations/{id}/cancel":                             "operations:cancel",
	"POST /operations/{id}/approvals/{approval}":               "operations:approve",
	"GET /approvals":                                           "operations:read",
	"POST /work":                                               "work:write",
	"POST /work/bulk":                                          "work:write",
	"GET /work":                                                "work:read",
	"GET /work/stats":                                          "work:read",
	"GET /work/{work}":                                         "work:read",
	"POST /work/{work}/cancel":                                 "work:write",
	"POST /work/{work}/retry":                                  "work:write",
	"POST /builds":                                             "work:write",
	"GET /builds":                                              "work:read",
	"GET /builds/{build}":                                      "work:read",
	"POST /builds/{build}/cancel":                              "work:write",
	"POST /builds/{build}/rerun":                               "work:write",
	"GET /builds/{build}/artifacts":                            "work:read",
	"GET /operations/{id}/artifacts":                           "operations:read",
	"GET /operations/{id}/artifacts/*":                         "operations:read",
	"GET /builds/{build}/output":                               "operations:read",
	"GET /builds/{build}/output/ws":                            "operations:read",
	"GET /workers":                                             "work:read",
	"POST /workers/{worker}/drain":                             "admin",
	"POST /workers/{worker}/resume":                            "admin",
	"GET /operations/{id}/events":                              "operations:read",
	"GET /operations/{id}/output":                              "operations:read",
	"GET /operations/{id}/output/ws":                           "operations:read",
	"GET /events":                                              "operations:read",
	"POST /webhooks":                                           "webhooks:write",
	"GET /webhooks":                                            "webhooks:read",
	"GET /webhooks/{webhook}":                                  "webhooks:read",
	"PATCH /webhooks/{webhook}":                                "webhooks:write",
	"DELETE /webhooks/{webhook}":                               "webhooks:write",
	"POST /webhooks/{webhook}/rotate":                          "webhooks:write",
	"POST /webhooks/{webhook}/enable":                          "webhooks:write",
	"POST /webhooks/{webhook}/test":                            "webhooks:write",
	"POST /webhooks/{webhook}/redeliver":                       "webhooks:write",
	"GET /webhooks/{webhook}/deliveries":                       "webhooks:read",
	"POST /webhooks/{webhook}/deliveries/{delivery}/redeliver": "webhooks:write",
	"POST /keys":                                               "keys:admin",
	"GET /keys":                                                "keys:admin",
	"GET /keys/self":                                           "",
	"GET /keys/self/budget":                                    "",
	"GET /keys/{key}/budget":                                   "keys:admin",
	"PUT /keys/{key}/budget":                                   "keys:admin",
	"GET /keys/{key}":                                          "keys:admin",
	"DELETE /keys/{key}":                                       "keys:admin",
	"POST /keys/{key}/rotate":                                  "keys:admin",
	"GET /credentials":                                         "credentials:read",
	"PUT /credentials/{name}":                                  "credentials:write",
	"DELETE /credentials/{name}":                               "credentials:write",
	"GET /projects/{project}/credentials":                      "credentials:read",
	"PUT /projects/{project}/credentials/{name}":               "credentials:write",
	"DELETE /projects/{project}/credentials/{name}":            "credentials:write",
	"POST /vault/rotate-master":                                "admin",
	"GET /agents":                                              "",
	"GET /templates":                                           "",
	"GET /templates/{template}":                                "",
}

// open are the calls that need no key.
var open = []string{"GET /health", "GET /ready", "GET /version", "GET /openapi.json", "GET /docs", "GET /builds/schema"}

// matrixWorld is a gateway with a project, an operation of it, and neighbors that
// answer nothing, fast.
func matrixWorld(t *testing.T) (w *world, ask func(route, key string, header map[string]string) answer) {
	t.Helper()
	w = newWorld(t)
	w.ready("shop", "other")
	op := w.run("shop")
	w.begin(op.ID)
	w.complete(op.ID)
	work, build := w.queue("shop", ""), w.build("shop", "steps: [{name: test, run: make}]")
	const webhook = "0192f0c1-2d3e-7a4b-8c5d-6e7f8a9b0c1d"
	none := &contract.Error{Code: contract.CodeNotFound, Detail: "there is none"}
	serve(w, contract.ServiceNotifier, contract.VerbGetWebhook, func(g contract.GetWebhook) (contract.Webhook, error) {
		if g.ID != webhook {
			return contract.Webhook{}, none
		}
		return contract.Webhook{ID: webhook, Projects: []string{"shop"}}, nil
	})
	// Nobody is waited for.
	absent := func(service string, verbs ...string) {
		for _, verb := range verbs {
			serve(w, service, verb, func(json.RawMessage) (json.RawMessage, error) { return nil, none })
		}
	}
	absent(contract.ServiceNotifier, contract.VerbListWebhooks, contract.VerbDeleteWebhook, contract.VerbListDeliveries,
		contract.VerbEnableWebhook, contract.VerbTestWebhook, contract.VerbRedeliver)
	absent(contract.ServiceAudit, contract.VerbListOperations, contract.VerbGetOperation, contract.VerbOperationHistory)
	absent(contract.ServiceExecutor, contract.VerbAgents)
	absent(contract.ServiceProvisioner, contract.VerbListProjects, contract.VerbListCredentials, contract.VerbDeleteCredential, contract.VerbRotateMaster, contract.VerbSetBudget,
		contract.VerbPlanProject, contract.VerbDriftProject)
	absent(contract.ServiceProvisioner, contract.VerbListPipelines, contract.VerbGetPipeline, contract.VerbRunPipeline, contract.VerbRerunPipeline,
		contract.VerbCancelPipeline, contract.VerbPipelineLogs)
	fill := strings.NewReplacer("{project}", "shop", "{id}", op.ID, "{work}", work.ID, "{build}", build.ID, "{worker}", "none", "{webhook}", webhook, "{delivery}", "e1", "{key}", unknownID, "{approval}", contract.ApprovalStart, "{name}", "TOKEN", "{host}", "shop.example.com", "{template}", "default", "{pipeline}", "7", "{step}", "3")
	return w, func(route, key string, header map[string]string) answer {
		method, path, _ := strings.Cut(route, " ")
		return w.peek(call{method: method, path: fill.Replace(path), key: key, body: "{", header: header})
	}
}

// peek sends a request and reads no more of a stream than its beginning.
func (w *world) peek(c call) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, c.method, w.url+c.path, strings.NewReader(c.body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", c.key)
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header}
	if strings.HasSuffix(response.Header.Get("Content-Type"), "json") {
		var body json.RawMessage
		a.err = json.NewDecoder(response.Body).Decode(&body)
		a.body = body
	}
	return a
}

// denied is the code with which a key is refused, "" where it is not.
func (a answer) denied(t *testing.T) contract.Code {
	t.Helper()
	if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
		return ""
	}
	var p problem
	a.decode(t, a.status, &p)
	return p.Code
}

func TestTheTableNamesEveryRoute(t *testing.T) {
	w := newWorld(t)
	var spec struct {
		Paths map[string]map[string]json.RawMessage
	}
	w.get("/openapi.json").decode(t, http.StatusOK, &spec)
	count := 0
	for path, methods := range spec.Paths {
		for method := range methods {
			if method == "parameters" {
				continue
			}
			count++
			route := strings.ToUpper(method) + " " + path
			if _, listed := allowed[route]; !listed && !slices.Contains(open, route) {
				t.Errorf("nobody has said who may %s", route)
			}
		}
	}
	if count != len(allowed)+len(open) {
		t.Errorf("the table has %d routes that there are not", len(allowed)+len(open)-count)
	}
}

func TestEveryScopeOpensItsRoutesAndNoOther(t *testing.T) {
	w, ask := matrixWorld(t)
	scopes := []string{
		"projects:read", "projects:write", "commands:run", "work:read", "work:write", "operations:read", "operations:cancel", "operations:approve", "budgets:write", "webhooks:read",
		"webhooks:write", "credentials:read", "credentials:write", "keys:admin", "audit:read", "admin",
	}
	keys := map[string]string{}
	for _, scope := range scopes {
		keys[scope] = w.newKey(`{"name":"` + nameFor(scope) + `","scopes":["` + scope + `"]}`).Secret
	}
	for route, needed := range allowed {
		for _, scope := range scopes {
			want := contract.CodeScopeMissing
			if needed == "" || scope == needed || scope == "admin" {
				want = ""
			}
			if got := ask(route, keys[scope], nil).denied(t); got != want {
				t.Errorf("%s with %s: %q, want %q", route, scope, got, want)
			}
		}
		if got := ask(route, "", nil).denied(t); got != contract.CodeUnauthorized {
			t.Errorf("%s without a key: %q", route, got)
		}
	}
	for _, route := range open {
		if got := ask(route, "", nil).denied(t); got != "" {
			t.Errorf("%s without a key: %q", route, got)
		}
	}
}

func nameFor(scope string) string { return "with " + strings.ReplaceAll(scope, ":", "-") }

func TestAKeyOfOtherProjectsOpensNothingOfAProject(t *testing.T) {
	w, ask := matrixWorld(t)
	own := w.newKey(`{"name":"own","scopes":["admin"],"projects":["shop"]}`).Secret
	pattern := w.newKey(`{"name":"pattern","scopes":["admin"],"projects":["sh*","x"]}`).Secret
	foreign := w.newKey(`{"name":"foreign","scopes":["admin"],"projects":["other","shop2"]}`).Secret
	for route := range allowed {
		_, path, _ := strings.Cut(route, " ")
		whole := strings.HasPrefix(path, "/credentials") || path == "/vault/rotate-master"
		ofProject := strings.Contains(path, "{project}") || strings.Contains(path, "{id}") || strings.Contains(path, "{work}") || strings.Contains(path, "{build}")
		for name, key := range map[string]string{"own": own, "pattern": pattern, "foreign": foreign} {
			var want contract.Code
			if whole && route != "PUT /credentials/{name}" || ofProject && name == "foreign" {
				want = contract.CodeProjectNotAllowed
			}
			if got := ask(route, key, nil).denied(t); got != want {
				t.Errorf("%s with the key %q: %q, want %q", route, name, got, want)
			}
		}
	}
	// What is in a body comes last.
	for _, c := range []call{
		{path: "/projects", body: `{"slug":"blog"}`},
		{path: "/webhooks", body: `{"url":"https://example.com","events":["*"]}`},
		{path: "/webhooks", body: `{"url":"https://example.com","events":["*"],"projects":["shop","blog"]}`},
		{method: http.MethodPut, path: "/credentials/TOKEN", body: `{"value":"x"}`},
		{method: http.MethodGet, path: "/events?project=blog"},
		{method: http.MethodGet, path: "/operations?project=blog"},
		{path: "/work", body: `{"kind":"test","project":"blog","argv":["true"]}`},
		{method: http.MethodGet, path: "/work?project=blog"},
		{path: "/builds", body: `{"project":"blog","spec":{"steps":[{"name":"test","run":"make"}]}}`},
		{method: http.MethodGet, path: "/builds?project=blog"},
		{method: http.MethodGet, path: "/work/stats?project=blog"},
	} {
		c.key = own
		w.send(c).problem(t, http.StatusForbidden, contract.CodeProjectNotAllowed)
	}
}

func TestAKeyThatDoesNotWorkOpensNothing(t *testing.T) {
	w, ask := matrixWorld(t)
	w.cfg.TrustedProxies = []string{"127.0.0.1"}
	revoked := w.newKey(`{"name":"revoked","scopes":["admin"]}`)
	w.send(call{method: http.MethodDelete, path: "/keys/" + revoked.ID}).empty(t)
	soon := time.Now().Add(time.Second).UTC()
	expired := w.newKey(fmt.Sprintf(`{"name":"expired","scopes":["admin"],"expires_at":%q}`, soon.Format(time.RFC3339Nano)))
	foreign := w.newKey(`{"name":"foreign","scopes":["admin"],"allowed_ips":["192.0.2.0/24","2001:db8::/32"]}`)
	time.Sleep(time.Until(soon))
	for route := range allowed {
		for name, want := range map[string]contract.Code{revoked.Secret: contract.CodeKeyRevoked, expired.Secret: contract.CodeKeyExpired, foreign.Secret: contract.CodeIPNotAllowed} {
			if got := ask(route, name, nil).denied(t); got != want {
				t.Errorf("%s: %q, want %q", route, got, want)
			}
		}
	}
	// The first gateway trusts no proxy; the second trusts the one on this machine.
	trusting, _ := w.start()
	for _, c := range []struct {
		url, chain string
		want       int
	}{
		{w.url, "192.0.2.1", http.StatusForbidden},
		{trusting, "192.0.2.1", http.StatusOK},
		{trusting, "203.0.113.9, 192.0.2.1", http.StatusOK},
		{trusting, "192.0.2.1, 203.0.113.9", http.StatusForbidden},
		{trusting, "192.0.2.1, 127.0.0.1", http.StatusOK},
		{trusting, "[2001:db8::7]:4711", http.StatusOK},
		{trusting, "192.0.2.1, nonsense", http.StatusForbidden},
		{trusting, "", http.StatusForbidden},
	} {
		a := w.send(call{url: c.url, method: http.MethodGet, path: "/keys/self", key: foreign.Secret, header: map[string]string{"X-Forwarded-For": c.chain}})
		if a.status != c.want {
			t.Errorf("X-Forwarded-For %q: %d %s, want %d", c.chain, a.status, a.body, c.want)
		}
	}
}
