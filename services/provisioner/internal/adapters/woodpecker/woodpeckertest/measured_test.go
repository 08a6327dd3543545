package woodpeckertest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker/woodpeckertest"
)

// forge has the repositories 2 to 4.
func forge(id string) (string, bool) {
	name, ok := map[string]string{"2": "rdev/shop", "3": "rdev/blog", "4": "rdev/denied"}[id]
	return name, ok
}

// Each line is a call that was made to a real server, in this order, and what came back.
func TestTheAnswersAreThoseThatWereMeasured(t *testing.T) {
	s := woodpeckertest.New(forge)
	defer s.Close()
	s.Deny("4")
	s.Branch("rdev/shop", "push-only", "push")
	const secret = `{"name":"database_url","value":"canary","events":["push","manual"],"images":[]}`
	for _, c := range []struct {
		call, body string
		status     int
		has, not   string // of the answer
		media      string
		header     string // instead of the token and of Content-Type: none, plain
	}{
		{call: "GET /version", status: 200, has: `"version":"3.17.0"`, header: "none"},
		{call: "GET /healthz", status: 204, header: "none"},
		{call: "GET /api/user", status: 200, has: `"login":"rdev-ci"`, media: "application/json"},
		{call: "GET /api/user", status: 401, has: "User not authorized", media: "text/plain", header: "none"},

		{call: "GET /api/repos/lookup/rdev/shop", status: 404},
		{call: "POST /api/repos", status: 400, media: "text/plain"},
		{call: "POST /api/repos?forge_remote_id=9", status: 500, has: "Could not fetch repository from forge.", media: "text/plain"},
		{call: "POST /api/repos?forge_remote_id=4", status: 403, media: "text/plain"},
		{call: "POST /api/repos?forge_remote_id=2", status: 200, has: `"forge_remote_id":"2"`},
		{call: "POST /api/repos?forge_remote_id=2", status: 409, has: "Repository is already active.", media: "text/plain"},
		{call: "GET /api/repos/lookup/rdev/shop", status: 200, has: `"full_name":"rdev/shop"`},
		{call: "GET /api/repos/1", status: 200, has: `"active":true`},
		{call: "GET /api/repos/2", status: 404},
		{call: "DELETE /api/repos/1", status: 200, has: `"active":false`},
		{call: "GET /api/repos/1", status: 200, has: `"active":false`},
		{call: "POST /api/repos?forge_remote_id=2", status: 200, has: `"id":1,`},
		{call: "DELETE /api/repos/2", status: 404},

		{call: "POST /api/repos/1/secrets", body: `{"name":"x","value":"y","events":[]}`, status: 422, has: "no event specified", media: "text/plain"},
		{call: "POST /api/repos/1/secrets", body: secret, header: "plain", status: 422, has: "no event specified"},
		{call: "POST /api/repos/1/secrets", body: secret, status: 200, has: `"name":"database_url"`, not: "canary"},
		{call: "POST /api/repos/1/secrets", body: secret, status: 500, has: "duplicate", media: "text/plain"},
		{call: "GET /api/repos/1/secrets", status: 200, has: `"events":["push","manual"]`, not: "canary"},
		{call: "GET /api/repos/1/secrets/database_url", status: 200, not: "canary"},
		{call: "GET /api/repos/1/secrets/none", status: 404},
		{call: "PATCH /api/repos/1/secrets/none", body: `{"value":"x"}`, status: 404},
		{call: "PATCH /api/repos/1/secrets/database_url", body: `{"value":"canary-2","events":["tag"]}`, status: 200, has: `"events":["tag"]`, not: "canary"},
		{call: "DELETE /api/repos/1/secrets/database_url", status: 204},
		{call: "DELETE /api/repos/1/secrets/database_url", status: 404},

		{call: "GET /api/repos/1/pipelines/latest", status: 404},
		{call: "POST /api/repos/1/pipelines", body: `{`, status: 400},
		{call: "POST /api/repos/1/pipelines", body: `{"branch":"gone"}`, status: 500, not: "a"},
		{call: "POST /api/repos/1/pipelines", body: `{"branch":"push-only"}`, status: 204},
		{call: "GET /api/repos/1/pipelines", status: 200, has: `[]`},
		{call: "POST /api/repos/1/pipelines", body: `{"branch":"main","variables":{"K":"V"}}`, status: 200, has: `"event":"manual","status":"pending"`},
		{call: "GET /api/repos/1/pipelines/latest", status: 404}, // it knows pushes alone
		{call: "GET /api/repos/1/pipelines/1", status: 200, has: `"variables":{"K":"V"}`},
		{call: "GET /api/repos/1/pipelines/2", status: 404},
		{call: "GET /api/repos/1/pipelines/x", status: 400},
		{call: "GET /api/repos/1/pipelines?page=x", status: 400},
		{call: "POST /api/repos/1/pipelines/1", status: 200, has: `"number":2,`},
		{call: "GET /api/repos/1/pipelines?page=1&perPage=1", status: 200, has: `"number":2,`, not: `"number":1,`},
		{call: "GET /api/repos/1/pipelines?page=2&perPage=1", status: 200, has: `"number":1,`},
		{call: "POST /api/repos/1/pipelines/2/cancel", status: 204},
		{call: "GET /api/repos/1/pipelines/2", status: 200, has: `"status":"canceled"`},
		{call: "GET /api/repos/1/logs/1/4", status: 200, has: `[]`},

		{call: "DELETE /api/repos/1?remove=true", status: 200, has: `"id":1,`},
		{call: "GET /api/repos/1", status: 404},
		{call: "DELETE /api/repos/1?remove=true", status: 404},
	} {
		method, path, _ := strings.Cut(c.call, " ")
		request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "none" {
			request.Header.Set("Authorization", "Bearer "+woodpeckertest.Token)
		}
		if c.body != "" && c.header != "plain" {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != c.status || !strings.Contains(string(text), c.has) || c.not != "" && strings.Contains(string(text), c.not) ||
			!strings.HasPrefix(response.Header.Get("Content-Type"), c.media) || response.StatusCode == http.StatusNoContent && len(text) > 0 {
			t.Errorf("%s %s: %d %s %s (%v)", c.call, c.body, response.StatusCode, response.Header.Get("Content-Type"), text, err)
		}
	}
}
