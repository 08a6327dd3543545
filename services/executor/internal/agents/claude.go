package agents

import (
	"encoding/json"
	"strconv"

	"github.com/orchard9/rdev/libs/contract"
)

// claudeCode drives Claude Code through its stream of JSON lines in both
// directions, so that it can be interrupted and still tell what it used.
type claudeCode struct{}

// Info implements Driver.
func (claudeCode) Info() Info {
	return Info{
		Name: "claude-code", Package: "@anthropic-ai/claude-code", Version: "2.1.330", Binary: "claude",
		Usage: true, Cost: true, ChoosesSession: true,
	}
}

// Command implements Driver.
func (d claudeCode) Command(agent contract.Agent, place Place) Launch {
	argv := []string{d.Info().Binary, "-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose"}
	if agent.Permissions == contract.PermissionsAsk {
		argv = append(argv, "--permission-mode=default", "--permission-prompt-tool=stdio")
	} else {
		argv = append(argv, "--dangerously-skip-permissions") // the workspace is the sandbox
	}
	if agent.Session == "" {
		argv = flag(argv, "--session-id", place.Session)
	}
	argv = flag(argv, "--resume", agent.Session)
	argv = flag(argv, "--model", agent.Model)
	if agent.Limits.Turns > 0 {
		argv = flag(argv, "--max-turns", strconv.Itoa(agent.Limits.Turns))
	}
	if agent.Limits.CostUSD > 0 {
		argv = flag(argv, "--max-budget-usd", strconv.FormatFloat(agent.Limits.CostUSD, 'f', -1, 64))
	}
	return Launch{
		Argv: argv,
		Env: []string{
			"CLAUDE_CONFIG_DIR=" + place.below("claude"),
			"IS_SANDBOX=1", // or it refuses to skip permissions as root
			// Without these it waits for hosts that a closed network does not reach.
			"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1",
			"DISABLE_ERROR_REPORTING=1",
			"CLAUDE_CODE_MAX_RETRIES=4", // of ten, with pauses that double
		},
		Stdin:     append(claudePrompt(agent.Prompt), '\n'),
		KeepStdin: true,
		Interrupt: []byte(`{"type":"control_request","request_id":"interrupt","request":{"subtype":"interrupt"}}` + "\n"),
	}
}

func claudePrompt(prompt string) []byte {
	return []byte(`{"type":"user","message":{"role":"user","content":[{"type":"text","text":` + string(quote(prompt)) + `}]}}`)
}

// answer implements answerer.
func (c *claudeLines) answer(request Request, allow bool, words string) []byte {
	response := map[string]any{"behavior": "deny", "message": words}
	if allow {
		response = map[string]any{"behavior": "allow", "updatedInput": request.input}
	}
	line, err := json.Marshal(map[string]any{
		"type":     "control_response",
		"response": map[string]any{"subtype": "success", "request_id": request.ID, "response": response},
	})
	if err != nil { // the input is JSON: it came in a line of it
		return nil
	}
	return append(line, '\n')
}

// NewParser implements Driver.
func (d claudeCode) NewParser() *Parser {
	return newParser(d, &claudeLines{tools: map[string]string{}})
}
