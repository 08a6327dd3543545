package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
)

// patience is how long a script waits for what must come.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rdev": main})
}

// TestScripts runs testdata/script, each against a gateway of its own with the
// project shop, and with a receiver of webhooks at $RECEIVER. Commands of theirs, beside those of testscript and rdev:
//
//	await METHOD PATH [N]  waits until the gateway has seen N such requests, 1
//	seen METHOD PATH N     wants exactly N requests; PATH is a regular expression
//	exits CODE COMMAND…    wants the exit code of a command
//	fault PATH STATUS [CODE DETAIL]
//	                       fails the next request of PATH; status 0 cuts it, late
//	                       does so after its effect
//	expire OPERATION APPROVAL
//	                       lets the time of an approval run out
//	sent METHOD PATH BODY  wants the body of the last such request to be this
//	drifts PROJECT PART DIFFERENCE
//	                       has a part of a project be another than it is to be
//	holds PROJECT NAME FILE
//	                       wants the value of a credential, "" for no project
func TestScripts(t *testing.T) {
	type gatewayKey struct{}
	gatewayOf := func(ts *testscript.TestScript) *gatewaytest.Gateway {
		return ts.Value(gatewayKey{}).(*gatewaytest.Gateway) //nolint:forcetypeassert // set by Setup
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			gateway := gatewaytest.New("shop")
			env.Defer(gateway.Close)
			env.Values[gatewayKey{}] = gateway
			env.Setenv("RDEV_API_URL", gateway.Server.URL)
			env.Setenv("RDEV_API_KEY", gatewaytest.Key)
			receiver := httptest.NewServer(http.HandlerFunc(receive))
			env.Defer(receiver.Close)
			env.Setenv("RECEIVER", receiver.URL)
			env.Setenv("GATEWAY", gateway.Server.URL)
			env.Setenv("KEY", gatewaytest.Key)
			env.Setenv("RDEV_HOME", filepath.Join(env.WorkDir, "rdev-home"))
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				want := 1
				if len(args) == 3 {
					var err error
					want, err = strconv.Atoi(args[2])
					ts.Check(err)
				}
				deadline := time.Now().Add(patience)
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				for count(ts, gatewayOf(ts), args) < want {
					if <-tick.C; time.Now().After(deadline) {
						ts.Fatalf("no %s %s came", args[0], args[1])
					}
				}
			},
			"seen": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[2])
				ts.Check(err)
				if got := count(ts, gatewayOf(ts), args); got != want {
					ts.Fatalf("%d requests %s %s, want %d", got, args[0], args[1], want)
				}
			},
			"fault": func(ts *testscript.TestScript, _ bool, args []string) {
				fault := gatewaytest.Fault{Path: args[0], Late: args[1] == "late"}
				if !fault.Late {
					status, err := strconv.Atoi(args[1])
					ts.Check(err)
					fault.Status = status
				}
				if len(args) == 4 {
					fault.Code, fault.Detail = args[2], args[3]
				}
				gatewayOf(ts).Fail(fault)
			},
			"expire": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(gatewayOf(ts).Expire(args[0], args[1]))
			},
			"sent": func(ts *testscript.TestScript, _ bool, args []string) {
				body := ""
				for _, request := range gatewayOf(ts).Requests() {
					if request.Method == args[0] && request.Path == args[1] {
						body = request.Body
					}
				}
				if body != args[2] {
					ts.Fatalf("%s %s was sent %s, want %s", args[0], args[1], body, args[2])
				}
			},
			"drifts": func(ts *testscript.TestScript, _ bool, args []string) {
				gatewayOf(ts).Drift(args[0], args[1], args[2])
			},
			"holds": func(ts *testscript.TestScript, _ bool, args []string) {
				value, known := gatewayOf(ts).Credential(args[0], args[1])
				if want := ts.ReadFile(args[2]); !known || value != want {
					ts.Fatalf("credential %s of %q is %q, want %q", args[1], args[0], value, want)
				}
			},
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				err := ts.Exec(args[1], args[2:]...)
				code := 0
				if err != nil {
					code = exitCode(err)
				}
				if strconv.Itoa(code) != args[0] {
					ts.Fatalf("%v: exit code %d, want %s", args[1:], code, args[0])
				}
			},
		},
	})
}

// receive takes what it is sent, but for /down.
func receive(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/down" {
		http.Error(w, "oh\x1b[2J no", http.StatusInternalServerError)
	}
}

func exitCode(err error) int {
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		return exit.ExitCode()
	}
	return -1
}

func count(ts *testscript.TestScript, gateway *gatewaytest.Gateway, args []string) int {
	path, err := regexp.Compile("^" + args[1] + "$")
	ts.Check(err)
	n := 0
	for _, request := range gateway.Requests() {
		if request.Method == args[0] && path.MatchString(request.Path) {
			n++
		}
	}
	return n
}
