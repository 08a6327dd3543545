package agents_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
)

// Lines of which the tests below make runs.
const (
	claudeGood = `{"type":"result","subtype":"success","is_error":false,"result":"Done.","stop_reason":"end_turn","session_id":"s",` +
		`"model_usage_since_last_result":{"a":{"inputTokens":5,"outputTokens":2,"costUSD":0.25},"b":{"inputTokens":1,"costUSD":0.5}},"total_cost_usd":99}`
	claudeBad  = `{"type":"result","subtype":"success","is_error":true,"result":"API Error","api_error_status":529}`
	claudeText = `{"type":"assistant","message":{"id":"m","model":"x","content":[{"type":"text","text":"Hello."}]}}`
	claude401  = `{"type":"system","subtype":"api_retry","attempt":1,"max_retries":4,"retry_delay_ms":500,"error_status":401,"error":"authentication_failed"}`
	claudeOops = `{"type":"assistant","error":"rate_limit","api_error_status":429,"message":{"id":"m","model":"<synthetic>","content":[{"type":"text","text":"Too much."}]}}`
)

func parserOf(t *testing.T, provider string) *agents.Parser {
	t.Helper()
	driver, ok := agents.Lookup(provider)
	if !ok {
		t.Fatalf("no agent is called %q", provider)
	}
	return driver.NewParser()
}

func feed(p *agents.Parser, lines ...string) []contract.AgentEvent {
	var events []contract.AgentEvent
	for _, line := range lines {
		events = append(events, p.Stdout([]byte(line+"\n"), time.Time{})...)
	}
	return events
}

func TestWhatRdevDidComesBeforeWhatTheAgentSaysBeforeTheExitCode(t *testing.T) {
	code := func(n int) agents.End { return agents.End{ExitCode: &n} }
	stopped := func(end agents.End, stop agents.Stop, reason string) agents.End {
		end.Stopped, end.Reason = stop, reason
		return end
	}
	killed := agents.End{Signal: "SIGKILL"}
	for name, c := range map[string]struct {
		lines  []string
		stderr string
		end    agents.End
		want   string // status, stop reason, class, message
	}{
		"good":                        {[]string{claudeGood}, "", code(0), "succeeded end_turn"},
		"good, exit unknown":          {[]string{claudeGood}, "", agents.End{}, "succeeded end_turn"},
		"good, exit 1":                {[]string{claudeGood}, "oops", code(1), "failed error agent: exit 1 after a good result: oops"},
		"good, killed":                {[]string{claudeGood}, "", killed, "failed error agent: ended by SIGKILL after a good result"},
		"good, hung and ended":        {[]string{claudeGood}, "", stopped(killed, agents.StopFinished, ""), "succeeded end_turn"},
		"good, cancelled":             {[]string{claudeGood}, "", stopped(code(0), agents.StopCancelled, ""), "cancelled cancelled"},
		"good, timed out":             {[]string{claudeGood}, "", stopped(killed, agents.StopTimeout, "silent for 5m0s"), "timed_out timeout timeout: silent for 5m0s"},
		"too dear":                    {nil, "", stopped(killed, agents.StopBudget, "$3 of $2"), "failed budget budget: $3 of $2"},
		"too many turns":              {nil, "", stopped(killed, agents.StopTurns, "9 of 8 turns"), "failed max_turns budget: 9 of 8 turns"},
		"bad":                         {[]string{claudeBad}, "", code(1), "failed error infrastructure: API Error"},
		"bad, exit 0":                 {[]string{claudeBad}, "", code(0), "failed error infrastructure: API Error"},
		"good, then it goes on":       {[]string{claudeGood, claudeText}, "", code(0), "failed incomplete agent: exit 0 without a result"},
		"wrong key, ended":            {[]string{claude401}, "", stopped(agents.End{Signal: "SIGTERM"}, agents.StopAuth, ""), "failed error auth: authentication_failed"},
		"nothing, killed":             {nil, "", killed, "failed signal infrastructure: ended by SIGKILL"},
		"nothing, crashed":            {nil, "", agents.End{Signal: "SIGSEGV"}, "failed signal agent: ended by SIGSEGV"},
		"nothing, exit 143":           {nil, "", code(143), "failed signal infrastructure: ended by SIGTERM"},
		"an error, no result":         {[]string{claudeOops}, "", code(1), "failed error rate_limit: Too much."},
		"an error, killed":            {[]string{claudeOops}, "", killed, "failed signal infrastructure: ended by SIGKILL"},
		"nothing":                     {nil, "", code(0), "failed incomplete agent: exit 0 without a result"},
		"nothing but a color":         {nil, "\x1b[91mError: \x1b[0mSession not found\n", code(1), "failed incomplete user: exit 1 without a result: Error: Session not found"},
		"nothing, and nobody saw how": {nil, "", agents.End{}, "failed incomplete infrastructure: ended in a way that nobody saw, without a result"},
		"never started":               {nil, "", agents.End{StartError: "claude: not found"}, "failed error infrastructure: claude: not found"},
	} {
		t.Run(name, func(t *testing.T) {
			p := parserOf(t, "claude")
			feed(p, c.lines...)
			p.Stderr([]byte(c.stderr))
			events := p.Result(c.end)
			result := events[len(events)-1]
			got := result.Status + " " + result.StopReason
			if result.Failure != nil {
				got += " " + string(result.Failure.Class) + ": " + result.Failure.Message
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTheCostOfARunIsThatOfItsModelsAndNotOfItsSession(t *testing.T) {
	p := parserOf(t, "claude-code")
	feed(p, claudeText, claudeGood)
	cost := 0.75
	want := agents.Totals{Turns: 1, Usage: &contract.Usage{Scope: "run", InputTokens: 6, OutputTokens: 2, CostUSD: &cost}}
	if diff := cmp.Diff(want, p.Totals()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestCodexCountsOnlyWhatAResumedRunUsed(t *testing.T) {
	p := parserOf(t, "codex")
	events := feed(p,
		`{"timestamp":"t","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":100,`+
			`"cached_input_tokens":40,"output_tokens":30,"reasoning_output_tokens":10,"total_tokens":130}}}}`,
		`{"type":"thread.started","thread_id":"t"}`, `{"type":"turn.started"}`,
		`{"type":"turn.completed","usage":{"input_tokens":180,"cached_input_tokens":60,"output_tokens":35,"reasoning_output_tokens":11}}`)
	want := &contract.Usage{Scope: "run", InputTokens: 60, CacheReadTokens: 20, OutputTokens: 5, ReasoningTokens: 1}
	if diff := cmp.Diff(want, events[len(events)-1].Usage); diff != "" || len(events) != 2 {
		t.Errorf("usage of %d events (-want +got):\n%s", len(events), diff)
	}
}

func TestCodexTellsNoUsageWhereItCanNotBeToldFromThatOfTheSession(t *testing.T) {
	p := parserOf(t, "codex")
	feed(p, `{"type":"rdev.session_total_unknown"}`, `{"type":"thread.started","thread_id":"t"}`, `{"type":"turn.started"}`,
		`{"type":"turn.completed","usage":{"input_tokens":180,"output_tokens":35}}`)
	if usage := p.Totals().Usage; usage != nil || !p.Finished() {
		t.Errorf("usage %+v, finished %t", usage, p.Finished())
	}
}

func TestOpenCodeMayGoOnAfterAStepThatStopped(t *testing.T) {
	step := `{"type":"step_finish","sessionID":"s","part":{"reason":"stop","tokens":{"total":18,"input":10,"output":5,"reasoning":3},"cost":0.5}}`
	p := parserOf(t, "opencode")
	feed(p, step)
	if !p.Finished() {
		t.Error("not finished after a step that stopped")
	}
	feed(p, `{"type":"step_start","sessionID":"s","part":{}}`)
	if p.Finished() {
		t.Error("finished in a new step")
	}
	feed(p, step)
	if totals := p.Totals(); totals.Turns != 2 || totals.Usage.OutputTokens != 16 || *totals.Usage.CostUSD != 1 {
		t.Errorf("totals are %+v, usage %+v", totals, totals.Usage)
	}
}

func TestAKeyThatIsRefusedIsKnownBeforeTheCLIGivesUp(t *testing.T) {
	for provider, line := range map[string]string{
		"claude-code": claude401,
		"codex":       `{"type":"error","message":"Reconnecting... 2/5 (unexpected status 401 Unauthorized: no, url: http://model)"}`,
	} {
		p := parserOf(t, provider)
		events := feed(p, line)
		if !p.AuthFailed() || p.Finished() || len(events) != 1 || events[0].Type != contract.AgentRetry || events[0].HTTPStatus != 401 {
			t.Errorf("%s: failed %t, finished %t after %+v", provider, p.AuthFailed(), p.Finished(), events)
		}
	}
}

func TestEventsStaySmallWhateverAnAgentPrints(t *testing.T) {
	huge := strings.Repeat("<\u0001é", 1<<18)
	quoted, err := json.Marshal(huge)
	if err != nil {
		t.Fatal(err)
	}
	for provider, lines := range map[string][]string{
		"claude-code": {
			`{"type":"system","subtype":"init","session_id":HUGE,"model":HUGE,"cwd":HUGE}`,
			`{"type":"assistant","message":{"id":HUGE,"content":[{"type":"text","text":HUGE},{"type":"tool_use","id":"t","name":"Write","input":{"file_path":"a","content":HUGE}}]}}`,
			`{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":HUGE}]}}`,
			`{"type":HUGE}`, `{"type":"result","result":HUGE,"is_error":true}`,
		},
		"gemini": {`{"type":"message","role":"assistant","content":HUGE}`, `{"type":"tool_use","tool_name":HUGE,"parameters":HUGE}`},
	} {
		p := parserOf(t, provider)
		var events []contract.AgentEvent
		for _, line := range lines {
			events = append(events, feed(p, strings.ReplaceAll(line, "HUGE", string(quoted)))...)
		}
		p.Stderr([]byte(huge))
		events = append(events, p.Result(agents.End{})...)
		checkRun(t, provider, events)
		var said strings.Builder
		for _, event := range events {
			if event.Type == contract.AgentText {
				said.WriteString(event.Text)
			}
			if event.Type == contract.AgentToolCall && provider == "claude-code" && !strings.Contains(string(event.Input), `"file_path":"a"`) {
				t.Errorf("the small field of a large input is gone: %.80s", event.Input)
			}
			if event.Type == contract.AgentToolResult && event.OutputBytes != len(huge) {
				t.Errorf("the output had %d bytes, not %d", len(huge), event.OutputBytes)
			}
		}
		if said.String() != huge {
			t.Errorf("%s: %d of %d bytes of text came through", provider, said.Len(), len(huge))
		}
	}
}
