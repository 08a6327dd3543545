package httpapi_test

import (
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/adapters/httpapi"
)

// FuzzCommand checks that no body makes the gateway panic, and that a command
// which it accepts holds what the executor relies on.
func FuzzCommand(f *testing.F) {
	for _, body := range []string{
		`{"kind":"shell","argv":["a","b"],"env":{"A":"1"},"workdir":"a/b","timeout":"1m"}`,
		`{"kind":"shell","script":"exit 1"}`,
		`{"kind":"git","verb":"clone","url":"https://h/r.git","ref":"main","depth":1}`,
		`{"kind":"git","verb":"clone","url":"git@host:a/b"}`,
		`{"kind":"git","verb":"commit","message":"m","author":"A <a@b>","paths":["x"]}`,
		`{"kind":"agent","provider":"codex","prompt":"p","model":"m","limits":{"wall":"1h","turns":3,"cost_usd":0.5}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request httpapi.CommandRequest
		if api.Decode(body, &request) != nil {
			return
		}
		kind, cmd, err := request.Command()
		if err != nil {
			return
		}
		set := 0
		texts := []string{cmd.Workdir}
		if s := cmd.Shell; s != nil {
			set++
			texts = append(append(texts, s.Script), s.Argv...)
			if (kind != contract.KindShell) || (s.Script == "") == (len(s.Argv) == 0) {
				t.Errorf("%s runs %+v", kind, s)
			}
		}
		if g := cmd.Git; g != nil {
			set++
			texts = append(append(texts, g.URL, g.Ref, g.Name, g.Remote, g.Message, g.Author), g.Paths...)
			for _, word := range []string{g.URL, g.Ref, g.Name, g.Remote, g.Author} {
				if strings.HasPrefix(word, "-") || strings.Contains(word, "::") || strings.ContainsAny(word, "\n\r") {
					t.Errorf("git is given %q", word)
				}
			}
		}
		if a := cmd.Agent; a != nil {
			set++
			texts = append(texts, a.Prompt, a.Model, a.Session)
			if strings.HasPrefix(a.Model, "-") || strings.HasPrefix(a.Session, "-") || a.Limits.Wall < 0 || a.Limits.Turns < 0 || a.Limits.CostUSD < 0 {
				t.Errorf("the agent is given %+v", a)
			}
		}
		for name, value := range cmd.Env {
			texts = append(texts, name, value)
			if name == "" || strings.Contains(name, "=") {
				t.Errorf("env %q", name)
			}
		}
		size := 0
		for _, text := range texts {
			size += len(text)
			if strings.ContainsRune(text, 0) {
				t.Errorf("a zero byte in %q", text)
			}
		}
		if set != 1 || size > 400_000 || cmd.Timeout < 0 || strings.HasPrefix(cmd.Workdir, "/") {
			t.Errorf("accepted %+v", cmd)
		}
	})
}
