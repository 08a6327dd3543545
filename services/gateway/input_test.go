package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

// shell is a command that is right but for what is added to it.
func shell(more string) string { return `{"kind":"shell","argv":["true"]` + more + `}` }

func git(more string) string { return `{"kind":"git"` + more + `}` }

func agent(more string) string {
	return `{"kind":"agent","provider":"claude-code","prompt":"p"` + more + `}`
}

// TestABadCommandIsRefusedFieldByFieldAndNothingIsStored has for every body the
// fields that its answer names, separated by spaces.
func TestABadCommandIsRefusedFieldByFieldAndNothingIsStored(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	before := w.stored()
	for name, c := range map[string]struct{ body, fields string }{
		"no JSON":                 {`{"kind":`, ""},
		"no object":               {`["shell"]`, ""},
		"empty":                   {``, ""},
		"two values":              {shell(``) + shell(``), ""},
		"no UTF-8":                {"{\"kind\":\"shell\",\"script\":\"\xc3\x28\"}", ""},
		"deep nesting":            {`{"env":` + strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_001), ""},
		"unknown field":           {shell(`,"argz":[]`), "argz"},
		"field given twice":       {shell(`,"argv":["rm"]`), "argv"},
		"field twice, other case": {shell(`,"ARGV":["rm"]`), "ARGV"},
		"name of env twice":       {shell(`,"env":{"A":"1","A":"2"}`), "A"},
		"wrong type":              {`{"kind":"shell","argv":"ls -l"}`, "argv"},
		"number as duration":      {shell(`,"timeout":30`), "timeout"},
		"nothing":                 {`{}`, "kind"},
		"unknown kind":            {`{"kind":"sql","argv":["x"]}`, "kind"},

		"no command":         {`{"kind":"shell"}`, "argv"},
		"no program":         {`{"kind":"shell","argv":[""]}`, "argv[0]"},
		"argv and script":    {shell(`,"script":"ls"`), "script"},
		"NUL in argv":        {`{"kind":"shell","argv":["a","b\u0000"]}`, "argv[1]"},
		"NUL in script":      {`{"kind":"shell","script":"a\u0000"}`, "script"},
		"long script":        {`{"kind":"shell","script":"` + strings.Repeat("a", 100_001) + `"}`, "script"},
		"long script, bytes": {`{"kind":"shell","script":"` + strings.Repeat("ä", 50_001) + `"}`, "script"},
		"many arguments":     {`{"kind":"shell","argv":["a"` + strings.Repeat(`,"a"`, 1000) + `]}`, "argv"},
		"long arguments":     {`{"kind":"shell","argv":["a","` + strings.Repeat("a", 100_000) + `"]}`, "argv"},
		"of another kind":    {shell(`,"verb":"push","force":true,"prompt":"x","limits":{}`), "verb force prompt limits"},

		"workdir upwards":       {shell(`,"workdir":"../x"`), "workdir"},
		"workdir up and down":   {shell(`,"workdir":"a/../../shop"`), "workdir"},
		"workdir from root":     {shell(`,"workdir":"/etc"`), "workdir"},
		"workdir with backward": {shell(`,"workdir":"..\\x"`), "workdir"},
		"workdir with NUL":      {shell(`,"workdir":"a\u0000"`), "workdir"},
		"negative timeout":      {shell(`,"timeout":"-1s"`), "timeout"},
		"endless timeout":       {shell(`,"timeout":"25h"`), "timeout"},
		"no timeout":            {shell(`,"timeout":"soon"`), "timeout"},
		"env name":              {shell(`,"env":{"A=B":"1","1A":"2","":"3"}`), "env. env.1A env.A=B"},
		"env NUL":               {shell(`,"env":{"A":"\u0000"}`), "env.A"},
		"large env":             {shell(`,"env":{"A":"` + strings.Repeat("a", 64<<10) + `"}`), "env"},
		"credentials":           {shell(`,"credentials":["A TOKEN"]`), "credentials[0]"},
		"all at once":           {`{"kind":"shell","argv":["a\u0000"],"workdir":"..","timeout":"x"}`, "timeout argv[0] workdir"},

		"git without verb":     {git(``), "verb"},
		"unknown verb":         {git(`,"verb":"gc"`), "verb"},
		"verb with option":     {git(`,"verb":"--exec-path=/tmp"`), "verb"},
		"commit without words": {git(`,"verb":"commit"`), "message"},
		"field of other verb":  {git(`,"verb":"status","ref":"main","limit":1`), "limit ref"},
		"clone depth":          {git(`,"verb":"clone","url":"https://h/r","depth":-1`), "depth"},
		"log limit":            {git(`,"verb":"log","limit":100000`), "limit"},
		"author":               {git(`,"verb":"commit","message":"m","author":"root"`), "author"},
		"author with break":    {git(`,"verb":"commit","message":"m","author":"a\nb <c@d>"`), "author"},
		"path upwards":         {git(`,"verb":"diff","paths":["a","../b"]`), "paths[1]"},
		"empty path":           {git(`,"verb":"diff","paths":[""]`), "paths[0]"},

		"agent without prompt": {`{"kind":"agent","provider":"codex"}`, "prompt"},
		"blank prompt":         {`{"kind":"agent","provider":"codex","prompt":" \n"}`, "prompt"},
		"unknown provider":     {`{"kind":"agent","provider":"hal","prompt":"p"}`, "provider"},
		"model as option":      {agent(`,"model":"--dangerously-skip-permissions"`), "model"},
		"session as option":    {agent(`,"session":"-c"`), "session"},
		"limits":               {agent(`,"limits":{"wall":"-1s","silence":"x","turns":0,"cost_usd":-1}`), "limits.wall limits.silence limits.turns limits.cost_usd"},
		"unknown limit":        {agent(`,"limits":{"words":1}`), "words"},
		"money of codex":       {`{"kind":"agent","provider":"codex","prompt":"p","limits":{"cost_usd":1}}`, "limits.cost_usd"},
		"codex that asks":      {`{"kind":"agent","provider":"codex","prompt":"p","permissions":"ask"}`, "permissions"},
		"permissions":          {agent(`,"permissions":"some"`), "permissions"},
		"approval":             {shell(`,"approval":"maybe"`), "approval"},
		"approval timeout":     {shell(`,"approval":"required","approval_timeout":"169h"`), "approval_timeout"},
		"approval default":     {shell(`,"approval":"required","approval_default":"open"`), "approval_default"},
		"timeout of nothing":   {shell(`,"approval_timeout":"1h"`), "approval_timeout"},
		"default of nothing":   {shell(`,"approval_default":"denied"`), "approval_default"},
		"long prompt":          {`{"kind":"agent","provider":"codex","prompt":"` + strings.Repeat("a", 200_001) + `"}`, "prompt"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.send(call{path: "/projects/shop/commands", body: c.body})
			a.problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, strings.Fields(c.fields)...)
		})
	}
	if after := w.stored(); after != before {
		t.Errorf("%d events were stored", after-before)
	}
}

func TestWhatGitWouldRunIsNoURLAndNoRef(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	before := w.stored()
	for _, url := range []string{
		"ext::sh -c touch% /tmp/x", "ext::https://h/r", "--upload-pack=touch /tmp/x", "-u", "-oProxyCommand=x@host:path", "-u@host:path",
		"ssh://-oProxyCommand=x/path", "ssh://user@-oProxyCommand=x/path", "git@-oProxyCommand=x:path", "git@host:-x", "git@host::ext",
		"https::ext::x", "file::x", "file:x", "file://host/x", "fd::17", "/etc", "../other", "data:x", "https://", "https:///r", "javascript:x",
		"https://h/r\\u0000", "https://h/\\nr", "https://h/" + strings.Repeat("r", 1000), "EXT::sh", "ftp://h/r", "host:path",
	} {
		a := w.send(call{path: "/projects/shop/commands", body: git(`,"verb":"clone","url":"` + url + `"`)})
		a.problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "url")
	}
	for _, ref := range []string{
		"--upload-pack=x", "-b", "-", "a b", "a;b", "a:b", "+a", "../a", "/a", "a\\u0000", "a\\n", "$(x)", "`x`", "a*", "a?", "a[", "a\\\\b", ":/x", "^a", "~1", "", strings.Repeat("a", 1001),
	} {
		a := w.send(call{path: "/projects/shop/commands", body: git(`,"verb":"checkout","ref":"` + ref + `"`)})
		a.problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "ref")
	}
	if after := w.stored(); after != before {
		t.Errorf("%d events were stored", after-before)
	}
	for _, body := range []string{
		git(`,"verb":"clone","url":"https://user@host:8443/r.git?x=y","ref":"v1.0","depth":1`), git(`,"verb":"clone","url":"ssh://git@host:22/~/r"`),
		git(`,"verb":"clone","url":"git@host.example:a/b.git"`), git(`,"verb":"clone","url":"file:///srv/r.git"`), git(`,"verb":"clone","url":"http://h/r"`),
		git(`,"verb":"checkout","ref":"feature/x_1.2","create":true`), git(`,"verb":"diff","ref":"main...HEAD~2","paths":["a/../b","-x","."]`),
		git(`,"verb":"log","ref":"HEAD@{1}^","limit":5`), git(`,"verb":"commit","message":"--amend\n\nä","author":"Ä B <a@b>"`),
		git(`,"verb":"push","remote":"origin","ref":"main","force":true`), git(`,"verb":"pull","remote":"origin","ref":"main"`), git(`,"verb":"pull"`), git(`,"verb":"branch","name":"x"`), git(`,"verb":"status"`),
		agent(`,"model":null,"session":null,"limits":{"wall":"30m","silence":"5m","turns":null,"cost_usd":null},"timeout":"0s"`),
		`{"kind":"agent","provider":"gemini","prompt":"--help me\u2028"}`, `{"kind":"shell","script":"exit 3","workdir":"a/./b","env":{"a":"1","A":"2"},"credentials":[]}`,
	} {
		w.send(call{path: "/projects/shop/commands", body: body}).operation(t, http.StatusAccepted)
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	before := w.stored()
	for name, body := range map[string]string{
		"body":                   `{"kind":"shell","script":"` + strings.Repeat("a", 1<<20) + `"}`,
		"as it would be stored":  `{"kind":"agent","provider":"codex","prompt":"` + strings.Repeat("<", 199_000) + `"}`,
		"as it would be escaped": `{"kind":"shell","script":"` + strings.Repeat(`\u0001`, 99_000) + `"}`,
	} {
		a := w.send(call{path: "/projects/shop/commands", body: body})
		if p := a.problem(t, http.StatusRequestEntityTooLarge, contract.CodePayloadTooLarge); !strings.Contains(p.Detail, "bytes") {
			t.Errorf("%s: %s", name, p.Detail)
		}
	}
	if after := w.stored(); after != before {
		t.Errorf("%d events were stored", after-before)
	}
	large := `{"kind":"agent","provider":"codex","prompt":"` + strings.Repeat("a", 200_000) + `","env":{"A":"` + strings.Repeat("a", 65_000) + `"}}`
	w.send(call{path: "/projects/shop/commands", body: large}).operation(t, http.StatusAccepted)
}

func TestABadProjectIsRefused(t *testing.T) {
	w := newWorld(t)
	before := w.stored()
	for body, fields := range map[string]string{
		`{}`: "slug", `{"slug":""}`: "slug", `{"slug":"Shop"}`: "slug", `{"slug":"-shop"}`: "slug", `{"slug":"shop-"}`: "slug",
		`{"slug":"a.b"}`: "slug", `{"slug":"*"}`: "slug", `{"slug":">"}`: "slug", `{"slug":"a b"}`: "slug", `{"slug":"../x"}`: "slug",
		`{"slug":"a\u0000"}`: "slug", `{"slug":"a\n"}`: "slug", `{"slug":"ä"}`: "slug", `{"slug":"` + strings.Repeat("a", 41) + `"}`: "slug",
		`{"slug":1}`: "slug", `{"slug":"a","template":"x"}`: "template", `{"slug":"a","owner":"me"}`: "owner",
		`{"slug":"a","components":["web"]}`: "components", `{"slug":"a","template":"monorepo","components":[{"kind":"web","name":"x"}]}`: "components[0]",
		`{"slug":"a","template":"go-api","components":[{"kind":"service","name":"x"}]}`: "components", `{"slug":"a","template":"go-api","values":{"x":"y"}}`: "x",
		`{"slug":"a","domains":["*.example.com","a.example.com","api","10.0.0.1"]}`: "domains[0] domains[2] domains[3]",
		`{"slug":"a","repository":{"adopt":"../x"}}`:                                "repository.adopt", `{"slug":"a","repository":{"adopt":"x/y","keep":true}}`: "keep",
		`{"slug":"a","template":"go-api","repository":{"adopt":"x/y"}}`: "template",
	} {
		w.send(call{path: "/projects", body: body}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, strings.Fields(fields)...)
	}
	// A parameter that is not known would change what is asked for.
	w.send(call{path: "/projects?dry=true", body: `{"slug":"a"}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "dry")
	if after := w.stored(); after != before {
		t.Errorf("%d events were stored", after-before)
	}
}

func TestANameThatNamesNothingIsNotFoundAndReachesNoSubject(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	id := w.run("shop").ID
	before := w.stored()
	serve(w, contract.ServiceAudit, contract.VerbGetOperation, func(r contract.GetOperation) (contract.Operation, error) {
		if r.ID != unknownID {
			t.Errorf("the audit is asked for %q", r.ID)
		}
		return contract.Operation{}, &contract.Error{Code: contract.CodeNotFound, Detail: "no such operation"}
	})
	for _, name := range []string{"*", "%3E", "a.b", "a%20b", strings.ToUpper(id), id + ".x", "x." + id, "%2A", "%00", "..", id[:35], unknownID, "%C3%28"} {
		for _, c := range []call{
			{method: http.MethodGet, path: "/operations/" + name},
			{path: "/operations/" + name + "/cancel"},
			{method: http.MethodGet, path: "/operations/" + name + "/output"},
			{method: http.MethodGet, path: "/operations/" + name + "/output/ws"},
			{method: http.MethodGet, path: "/webhooks/" + strings.Replace(name, unknownID, "x", 1)},
			{method: http.MethodDelete, path: "/webhooks/" + strings.Replace(name, unknownID, "x", 1)},
			{path: "/webhooks/" + strings.Replace(name, unknownID, "x", 1) + "/test"},
			{method: http.MethodGet, path: "/projects/" + strings.Replace(name, unknownID, "x", 1)},
			{method: http.MethodDelete, path: "/projects/" + name},
			{path: "/projects/" + name + "/commands", body: shell(``)},
		} {
			w.send(c).problem(t, http.StatusNotFound, contract.CodeNotFound)
		}
	}
	if after := w.stored(); after != before {
		t.Errorf("%d events were stored", after-before)
	}
}

// unknownID could be an operation's.
const unknownID = "0192d3c4-0000-7000-8000-000000000000"

func TestABadQueryIsRefused(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	op := w.run("shop")
	for path, field := range map[string]string{
		"/operations?state=done": "state", "/operations?state=pending,x": "state", "/operations?limit=0": "limit", "/operations?limit=201": "limit",
		"/operations?limit=x": "limit", "/operations?since=yesterday": "since", "/operations?min_seq=-1": "min_seq", "/operations?stat=pending": "stat",
		"/operations?state=pending&state=running": "state", "/projects?limit=-1": "limit", "/projects?state=ready": "state",
		"/operations/" + op.ID + "?as_of_seq=x": "as_of_seq", "/operations/" + op.ID + "?as_of_seq=99999999999999999999": "as_of_seq",
		"/operations/" + op.ID + "/output?from_seq=-1": "from_seq", "/events?from_seq=1.5": "from_seq", "/events?types=x": "types",
		"/webhooks?limit=x": "limit", "/agents?all=1": "all",
	} {
		w.get(path).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, field)
	}
	for _, path := range []string{"/events", "/operations/" + op.ID + "/output"} {
		w.send(call{method: http.MethodGet, path: path, header: map[string]string{"Last-Event-ID": "x"}}).
			problem(t, http.StatusBadRequest, contract.CodeInvalidRequest)
	}
}
