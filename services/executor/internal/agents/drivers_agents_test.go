//go:build agents

package agents_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
	"github.com/orchard9/rdev/services/executor/internal/agents/stubmodel"
)

// calls are what the script of the stub takes: one that acts, one that ends.
const calls = 2

// everyCLI runs a test for each provider, one after the other: they are heavy.
func everyCLI(t *testing.T, test func(t *testing.T, provider string)) {
	t.Helper()
	for _, driver := range agents.Providers() {
		t.Run(driver.Info().Name, func(t *testing.T) { test(t, driver.Info().Name) })
	}
}

func TestAgentsDoWhatTheyAreAskedAndGoOnWithASession(t *testing.T) {
	everyCLI(t, func(t *testing.T, provider string) {
		t.Helper()
		c := newCLI(t, provider, &stubmodel.Model{})
		first := c.run(t, contract.Agent{Prompt: "-Look around, please.\nThere is \"more\" on this line."}, nil)
		checkSuccess(t, c, first)
		session := first[len(first)-1].Session
		if session == "" {
			t.Fatal("the result has no session to go on with")
		}
		second := c.run(t, contract.Agent{Prompt: "Look again.", Session: session}, nil)
		checkSuccess(t, c, second)
		if got := second[len(second)-1].Session; got != session {
			t.Errorf("session %s became %s", session, got)
		}
		hosts := c.proxy.asked()
		maps.DeleteFunc(hosts, func(host string, _ int) bool {
			// OpenCode asks for a package in a new home, and does without.
			return provider == "opencode" && strings.HasPrefix(host, "registry.")
		})
		if len(hosts) > 0 {
			t.Errorf("it would talk to %v", hosts)
		}
	})
}

func checkSuccess(t *testing.T, c *cli, events []contract.AgentEvent) {
	t.Helper()
	result := events[len(events)-1]
	if result.Status != contract.AgentSucceeded || result.StopReason != "end_turn" || result.Turns != calls {
		t.Errorf("%s with %s after %d turns", result.Status, result.StopReason, result.Turns)
	}
	if !strings.HasPrefix(result.Text, stubmodel.LastWords) {
		t.Errorf("it ended with the words %q", result.Text)
	}
	var words string
	var acted, printed bool
	for _, event := range events {
		switch event.Type {
		case contract.AgentRaw:
			t.Errorf("unknown line: %s", event.Line)
		case contract.AgentText:
			words += event.Text
		case contract.AgentToolCall:
			acted = acted || event.ToolKind == "execute" && strings.Contains(string(event.Input), stubmodel.Command)
		case contract.AgentToolResult:
			printed = printed || event.Status == contract.ToolCompleted && strings.Contains(event.Output, stubmodel.Printed)
		}
	}
	if !strings.HasPrefix(words, stubmodel.FirstWords+stubmodel.LastWords) || !acted || !printed {
		t.Errorf("it said %q; called the tool: %t; saw what that printed: %t", words, acted, printed)
	}
	info := c.driver.Info()
	usage := result.Usage
	if usage == nil {
		t.Fatal("no usage")
	}
	if usage.InputTokens != calls*stubmodel.InputTokens || usage.CacheReadTokens != calls*stubmodel.CachedTokens ||
		usage.OutputTokens != calls*stubmodel.OutputTokens {
		t.Errorf("used %+v in %d calls", *usage, calls)
	}
	if info.Cost != (usage.CostUSD != nil && *usage.CostUSD > 0) {
		t.Errorf("cost %v where it is told: %t", usage.CostUSD, info.Cost)
	}
}

func TestAgentsWithAWrongKeyFailSoon(t *testing.T) {
	everyCLI(t, func(t *testing.T, provider string) {
		t.Helper()
		model := &stubmodel.Model{Status: 401}
		events := newCLI(t, provider, model).run(t, contract.Agent{Prompt: "Look around."}, nil)
		result := events[len(events)-1]
		if result.Status != contract.AgentFailed || result.Failure.Class != contract.ClassAuth || result.HTTPStatus != 401 {
			t.Errorf("%s, HTTP %d, %+v", result.Status, result.HTTPStatus, result.Failure)
		}
		if model.Calls() > 6 {
			t.Errorf("the model was called %d times", model.Calls())
		}
	})
}

func TestAgentsThatAreCancelledWhileTheModelHangsEnd(t *testing.T) {
	everyCLI(t, func(t *testing.T, provider string) {
		t.Helper()
		c := newCLI(t, provider, &stubmodel.Model{Hang: true})
		started := func(event contract.AgentEvent, r running) agents.Stop {
			if !slices.Contains([]string{contract.AgentSession, contract.AgentText}, event.Type) {
				return agents.StopNone
			}
			var err error
			if r.launch.Interrupt != nil {
				_, err = r.stdin.Write(r.launch.Interrupt)
			} else {
				err = r.process.Signal(syscall.SIGTERM)
			}
			if err != nil {
				t.Errorf("cancel: %v", err)
			}
			return agents.StopCancelled
		}
		events := c.run(t, contract.Agent{Prompt: "Look around."}, started)
		if result := events[len(events)-1]; result.Status != contract.AgentCancelled {
			t.Errorf("%s with %s", result.Status, result.StopReason)
		} else if c.driver.Info().Name == "claude-code" && (result.Usage == nil || result.Usage.CostUSD == nil) {
			t.Error("an interrupt left the usage unknown")
		}
	})
}

func TestAnAgentWaitsForTheAnswerToWhatItAsks(t *testing.T) {
	everyCLI(t, func(t *testing.T, provider string) {
		t.Helper()
		if traits, _ := contract.AgentNamed(provider); !traits.Asks {
			return // it is refused by the gateway
		}
		for _, allow := range []bool{true, false} {
			c := newCLI(t, provider, &stubmodel.Model{Changes: true})
			asked := 0
			events := c.run(t, contract.Agent{Prompt: "Change something.", Permissions: contract.PermissionsAsk}, func(event contract.AgentEvent, r running) agents.Stop {
				if event.Type != contract.AgentPermission || event.Status != "" {
					return agents.StopNone
				}
				asked++
				requests := r.parser.Requests()
				if len(requests) != 1 || requests[0].Event.ToolKind != "execute" || !strings.Contains(string(requests[0].Event.Input), stubmodel.Command) {
					t.Errorf("requests %+v", requests)
					return agents.StopNone
				}
				// An executor that dies after it answered makes the next one answer again.
				for range 2 {
					if _, err := r.stdin.Write(r.parser.Answer(requests[0].ID, allow, "denied by the test")); err != nil {
						t.Errorf("answer: %v", err)
					}
				}
				return agents.StopNone
			})
			result := events[len(events)-1]
			if result.Status != contract.AgentSucceeded || asked != 1 || result.Turns != calls {
				t.Errorf("allowed: %t: %s with %s after %d turns and %d requests", allow, result.Status, result.StopReason, result.Turns, asked)
			}
			if _, err := os.Stat(filepath.Join(c.dir, "changed")); (err == nil) != allow {
				t.Errorf("allowed: %t, and the file that it makes: %v", allow, err)
			}
			var ended string
			for _, event := range events {
				if event.Type == contract.AgentToolResult {
					ended = event.Status
				}
			}
			if want := map[bool]string{true: contract.ToolCompleted, false: contract.ToolDenied}[allow]; ended != want {
				t.Errorf("allowed: %t, and the tool %s, want %s", allow, ended, want)
			}
		}
	})
}
