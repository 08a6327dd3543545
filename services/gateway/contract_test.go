package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
)

// schemas are the schemas of the gateway's own contract.
type schemas struct {
	t        *testing.T
	compiler *jsonschema.Compiler
}

func (w *world) schemas() schemas {
	w.t.Helper()
	spec, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.get("/openapi.json").body))
	if err != nil {
		w.t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("https://rdev.test/openapi.json", spec); err != nil {
		w.t.Fatal(err)
	}
	return schemas{t: w.t, compiler: compiler}
}

// check validates a body against components/schemas/<name>.
func (s schemas) check(name string, body []byte) {
	s.t.Helper()
	schema, err := s.compiler.Compile("https://rdev.test/openapi.json#/components/schemas/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		s.t.Fatalf("%v in %q", err, body)
	}
	if err := schema.Validate(value); err != nil {
		s.t.Errorf("%s: %v\n%s", name, err, body)
	}
}

func TestAnswersAreWhatTheContractSays(t *testing.T) {
	w := newWorld(t)
	s := w.schemas()
	op, out := w.printed()
	out.write("stdout", "\xff")
	one := 1
	w.change(op.ID, func(op contract.Operation) contract.Change {
		return contract.OperationFailed{
			Attempt: op.Attempt, ExitCode: &one, Failure: contract.NewFailure(contract.ClassUser, "exited with 1"), At: op.CreatedAt,
			Result: &contract.Result{Text: "t", Usage: &contract.Usage{InputTokens: 1}},
		}
	})
	pending := w.send(call{path: "/projects/shop/commands", body: `{"kind":"git","verb":"status"}`})
	s.check("Operation", pending.body)
	s.check("Operation", w.send(call{path: "/projects", body: `{"slug":"new"}`}).body)
	s.check("Operation", w.send(call{method: http.MethodDelete, path: "/projects/shop"}).body)
	s.check("Operation", w.get("/operations/"+op.ID).body)
	s.check("OperationHistory", w.get("/operations/"+op.ID+"/events").body)
	s.check("Project", w.get("/projects/shop").body)
	s.check("Health", w.get("/health").body)
	s.check("Readiness", w.get("/ready").body)
	s.check("Version", w.get("/version").body)
	for _, a := range []answer{
		w.get("/nothing"), w.get("/operations/x"), w.get("/operations?limit=x"), w.send(call{path: "/projects", body: `{"slug":""}`}),
		w.send(call{method: http.MethodPatch, path: "/projects/shop"}), w.send(call{method: http.MethodGet, path: "/projects", key: "x"}), w.get("/agents"),
	} {
		s.check("Problem", a.body)
	}
	schemaOf := map[string]string{"stdout": "OutputText", "stderr": "OutputText", "agent": "AgentEvent", "state": "Operation", "end": "Operation"}
	for _, f := range w.open("/operations/"+op.ID+"/output", "").rest() {
		s.check(schemaOf[f.Event], f.Data)
		body, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		s.check("Frame", body)
	}
	log := w.open("/events?from_seq=1", "")
	for range w.stored() {
		f, err := log.next()
		if err != nil {
			t.Fatal(err)
		}
		s.check("Event", f.Data)
	}
}

// TestTheContractTakesWhatTheGatewayTakes holds the schemas of requests against
// what is really accepted and refused.
func TestTheContractTakesWhatTheGatewayTakes(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	s := w.schemas()
	for _, body := range []string{
		`{"kind":"shell","argv":["a"],"env":{"A":"b"},"workdir":"x","timeout":"1m","credentials":null}`,
		`{"kind":"git","verb":"log","ref":"main","limit":3,"paths":["a"]}`,
		`{"kind":"agent","provider":"claude-code","prompt":"p","model":null,"session":null,"limits":{"wall":"30m","silence":"5m","turns":null,"cost_usd":null}}`,
	} {
		s.check("RunCommand", []byte(body))
		w.send(call{path: "/projects/shop/commands", body: body}).operation(t, http.StatusAccepted)
	}
	s.check("CreateProject", []byte(`{"slug":"a","template":"default","components":[],"domains":[],"database":false,"cache":false}`))
}

func TestMethodsThatAPathDoesNotTake(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	op := w.run("shop")
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodPatch, "/projects/shop", "GET, HEAD, DELETE"},
		{http.MethodPut, "/projects", "GET, HEAD, POST"},
		{http.MethodGet, "/projects/shop/commands", "POST"},
		{http.MethodHead, "/projects/shop/commands", "POST"},
		{http.MethodDelete, "/health", "GET, HEAD"},
	} {
		a := w.send(call{method: c.method, path: c.path})
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, want %q", c.method, c.path, a.status, a.header.Get("Allow"), c.allow)
		}
		if c.method != http.MethodHead {
			a.problem(t, http.StatusMethodNotAllowed, contract.CodeInvalidRequest)
		}
	}
	w.get("/nothing/here").problem(t, http.StatusNotFound, contract.CodeNotFound)
	for path, media := range map[string]string{
		"/health": "application/json", "/projects/shop": "application/json", "/operations/" + op.ID: "application/json", "/docs": "text/html",
		"/events": "text/event-stream", "/operations/" + op.ID + "/output": "text/event-stream",
	} {
		a := w.send(call{method: http.MethodHead, path: path})
		if a.status != http.StatusOK || len(a.body) > 0 || !strings.HasPrefix(a.header.Get("Content-Type"), media) {
			t.Errorf("HEAD %s: %d, %s", path, a.status, a.header.Get("Content-Type"))
		}
	}
	if a := w.send(call{method: http.MethodHead, path: "/projects/none"}); a.status != http.StatusNotFound {
		t.Errorf("HEAD of a project that is not there: %d", a.status)
	}
	if !slices.Contains(strings.Fields(string(w.get("/version").body)), `{"version":"`+service.Version()+`"}`) {
		t.Errorf("version %s", w.get("/version").body)
	}
}
