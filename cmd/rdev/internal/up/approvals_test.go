package up_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testkit"
)

// agent says what claude-code does when it asks before it writes a file, and waits.
const agent = `#!/bin/sh
read -r prompt
echo '{"type":"system","subtype":"init","session_id":"s-1","model":"m","claude_code_version":"1"}'
echo '{"type":"assistant","message":{"id":"m-1","model":"m","content":[{"type":"tool_use","id":"t-1","name":"Write","input":{"file_path":"changed"}}],"usage":{"input_tokens":100}}}'
echo '{"type":"control_request","request_id":"r-1","request":{"subtype":"can_use_tool","tool_name":"Write","input":{"file_path":"changed"},"description":"changed","tool_use_id":"t-1"}}'
read -r answer
case "$answer" in
*'"allow"'*) touch changed; error=false ;;
*) error=true ;;
esac
echo '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t-1","content":"over","is_error":'$error'}]}}'
echo '{"type":"result","subtype":"success","is_error":false,"result":"told: '$error'","num_turns":2,"session_id":"s-1","model_usage_since_last_result":{"m":{"inputTokens":200,"outputTokens":20,"costUSD":0.25}}}'
cat > /dev/null
`

// prompt starts the agent in approval mode and waits until it asks.
func (i *instance) prompt(t *testing.T) (op, workspace string) {
	t.Helper()
	var project struct {
		Runtime struct{ Workspace string }
	}
	if err := json.Unmarshal([]byte(i.must("projects", "get", "shop", "-o", "json")), &project); err != nil {
		t.Fatal(err)
	}
	workspace = project.Runtime.Workspace
	bin := filepath.Join(workspace, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "claude"), []byte(agent), 0o755); err != nil {
		t.Fatal(err)
	}
	op = strings.TrimSpace(i.must("run", "--detach", "--agent", "claude-code", "--ask", "--env", "PATH="+bin+":/usr/bin:/bin", "write a file"))
	i.waits(t, op)
	return op, workspace
}

func (i *instance) waits(t *testing.T, op string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if out := i.must("approvals", "-o", "json"); !strings.Contains(out, op) || !strings.Contains(out, `"r-1"`) {
			return fmt.Errorf("%s does not ask:\n%s", op, out)
		}
		return nil
	})
}

// Nothing of rdev has to be there while somebody makes up their mind.
func TestAnApprovalOutlivesARestartOfEverything(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	i.must("projects", "create", "shop")
	op, workspace := i.prompt(t)
	i.kill()
	if _, err := os.Stat(filepath.Join(workspace, "changed")); !os.IsNotExist(err) {
		t.Fatalf("the file is there before anybody approved it: %v", err)
	}
	i = start(t, home)
	i.waits(t, op)
	i.must("approvals", "approve", op, "-m", "fine")
	awaitState(t, i, op, "completed")
	out := i.must("ops", "get", op, "-o", "json")
	for _, words := range []string{`"attempt": 2`, `"decided_by": "key:admin"`, `"comment": "fine"`, `"cost_usd": 0.25`, `"text": "told: false"`} {
		if !strings.Contains(out, words) {
			t.Errorf("want %s in\n%s", words, out)
		}
	}
	if _, err := os.Stat(filepath.Join(workspace, "changed")); err != nil {
		t.Errorf("what was approved did not happen: %v", err)
	}
	// A second decision is refused.
	if out, code := i.rdev("approvals", "deny", op, "r-1"); code == 0 {
		t.Errorf("a second decision is taken: %s", out)
	}

	// One that is denied goes on, and knows.
	if err := os.Remove(filepath.Join(workspace, "changed")); err != nil {
		t.Fatal(err)
	}
	op, _ = i.prompt(t)
	i.must("approvals", "deny", op)
	awaitState(t, i, op, "completed")
	if out := i.must("ops", "get", op, "-o", "json"); !strings.Contains(out, `"text": "told: true"`) {
		t.Errorf("it was not told:\n%s", out)
	}
	i.stop()
}
