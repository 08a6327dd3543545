package executor_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/executor"
)

// runner is the rdev-runner that the tests use.
var runner string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rdev-runner-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	runner = filepath.Join(dir, "rdev-runner")
	build := exec.Command("go", "build", "-o", runner, "./cmd/rdev-runner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// world is what an executor meets: NATS, and a project with a workspace.
type world struct {
	testing.TB
	nats      *embedded.Server
	conn      *bus.Conn
	workspace string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{TB: t, nats: testkit.NATS(t), workspace: filepath.Join(t.TempDir(), "shop", "workspace")}
	w.conn = testkit.Connect(t, w.nats.URL(), "provisioner")
	if err := os.MkdirAll(w.workspace, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := w.conn.UpdateProject(t.Context(), "shop", func(*contract.Project) (string, contract.Project, error) {
		return contract.TypeProjectCreated, contract.Project{Slug: "shop", Workspace: w.workspace, Runtime: contract.RuntimeLocal}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) config() executor.Config {
	return executor.Config{
		NATS: bus.Settings{URL: w.nats.URL()}, Runner: runner, Slots: 2, Timeout: time.Hour, AgentSilence: time.Minute,
		Grace: time.Second, MaxOutput: 1 << 20, AllowUnconfined: true, Readable: []string{filepath.Dir(filepath.Dir(w.workspace))},
	}
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// ask accepts a command and offers it, as a gateway does.
func (w *world) ask(kind string, cmd contract.Command) contract.Operation {
	w.Helper()
	op, err := w.conn.Append(w.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: uuid.NewString(), Kind: kind, Project: "shop", Actor: "key:test", CreatedAt: time.Now().UTC(),
		Lane: contract.PodLane("shop"), Command: &cmd, Traceparent: trace,
	}})
	if err != nil {
		w.Fatal(err)
	}
	testkit.Eventually(w, func() error {
		return w.conn.Offer(w.Context(), op.Lane, contract.RunOperation{Operation: op.ID, Project: "shop", Kind: kind})
	})
	return op
}

// ended waits for the end of an operation, and reads what it printed.
func (w *world) ended(op contract.Operation) (contract.Operation, string) {
	w.Helper()
	testkit.Eventually(w, func() (err error) {
		if op, err = w.conn.Load(w.Context(), op.ID); err == nil && !op.State.Ended() {
			err = errors.New(string(op.State))
		}
		return err
	})
	return op, w.printed(op)
}

// printed is the output of an operation so far.
func (w *world) printed(op contract.Operation) string {
	w.Helper()
	f, err := w.conn.FollowOutput(w.Context(), op.ID, bus.Follow{Once: true})
	if err != nil {
		w.Fatal(err)
	}
	defer f.Close()
	out := &printed{}
	if err := f.Feed(w.Context(), out); err != nil {
		w.Fatal(err)
	}
	return out.String()
}

type printed struct{ strings.Builder }

func (p *printed) Chunk(c contract.Chunk) error { _, err := p.Write(c.Data); return err }

func (*printed) State(*contract.Operation) error  { return nil }
func (*printed) Gap(string, uint64, uint64) error { return errors.New("a gap") }
func (*printed) Idle() error                      { return nil }
func (*printed) End(*contract.Operation) error    { return nil }

func script(text string) contract.Command {
	return contract.Command{Shell: &contract.Shell{Script: text}}
}

func TestTheExecutorRunsACommandAndTellsHowItEnded(t *testing.T) {
	w := newWorld(t)
	testkit.Serve(t, executor.Run, w.config())
	cmd := script(`echo "trace $TRACEPARENT"; echo "$GREETING from $(basename "$PWD")"; echo problem >&2; exit 3`)
	cmd.Env = map[string]string{"GREETING": "hello"}
	op, out := w.ended(w.ask(contract.KindShell, cmd))
	if op.State != contract.Failed || op.ExitCode == nil || *op.ExitCode != 3 || op.Failure.Class != contract.ClassUser || op.Attempt != 1 {
		t.Errorf("%+v", op)
	}
	if !strings.Contains(out, "trace "+trace+"\n") || !strings.Contains(out, "hello from workspace\n") || !strings.Contains(out, "problem\n") {
		t.Errorf("output %q", out)
	}
}

func TestGitVerbsWorkOnARealRepository(t *testing.T) {
	w := newWorld(t)
	testkit.Serve(t, executor.Run, w.config())
	origin := filepath.Join(filepath.Dir(w.workspace), "origin.git")
	setUp := exec.CommandContext(t.Context(), "sh", "-euc", `git init -q --bare -b main "$1"; chmod -R a+rwX "$(dirname "$1")"`, "sh", origin)
	if out, err := setUp.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	do := func(g contract.Git) (contract.Operation, string) {
		t.Helper()
		op, out := w.ended(w.ask(contract.KindGit, contract.Command{Git: &g}))
		if op.State != contract.Completed {
			t.Fatalf("git %s: %s, %+v\n%s", g.Verb, op.State, op.Failure, out)
		}
		return op, out
	}
	do(contract.Git{Verb: "clone", URL: "file://" + origin})
	w.ended(w.ask(contract.KindShell, script("echo one > a.txt")))
	_, status := do(contract.Git{Verb: "status"})
	if !strings.Contains(status, "? a.txt") {
		t.Errorf("status:\n%s", status)
	}
	committed, _ := do(contract.Git{Verb: "commit", Message: "say \"one\"; $(false)", Author: "A B <a@b.c>"})
	if committed.Result == nil || len(committed.Result.Commit) != 40 || committed.Result.Branch != "main" {
		t.Fatalf("commit: %+v", committed.Result)
	}
	do(contract.Git{Verb: "checkout", Ref: "feature", Create: true})
	do(contract.Git{Verb: "branch", Name: "other"})
	_, log := do(contract.Git{Verb: "log", Limit: 1})
	if !strings.Contains(log, "A B <a@b.c>") || !strings.Contains(log, `say "one"; $(false)`) {
		t.Errorf("log:\n%s", log)
	}
	w.ended(w.ask(contract.KindShell, script("echo two > a.txt")))
	_, diff := do(contract.Git{Verb: "diff", Paths: []string{"a.txt"}})
	if !strings.Contains(diff, "+two") {
		t.Errorf("diff:\n%s", diff)
	}
}

func TestWhatGitRefusesFails(t *testing.T) {
	w := newWorld(t)
	testkit.Serve(t, executor.Run, w.config())
	w.ended(w.ask(contract.KindShell, script("git init -q")))
	for _, g := range []contract.Git{
		{Verb: "clone", URL: "file:///nowhere"},
		{Verb: contract.GitResolve, URL: "file:///nowhere", Ref: "main"},
		{Verb: "checkout", Ref: "nothing"},
		{Verb: "pull"},
		{Verb: "push"},
		{Verb: "log"},
		{Verb: "diff", Ref: "nothing"},
		{Verb: "branch", Name: "x"},
		{Verb: "commit", Message: "m", Paths: []string{"nothing"}},
	} {
		op, out := w.ended(w.ask(contract.KindGit, contract.Command{Git: &g}))
		if op.State != contract.Failed || op.ExitCode == nil || *op.ExitCode == 0 || op.Failure.Class != contract.ClassUser || out == "" {
			t.Errorf("git %s is %s, %+v: %s", g.Verb, op.State, op.Failure, out)
		}
	}
}

func TestAPullTakesWhatIsNewAndMergesNothing(t *testing.T) {
	w := newWorld(t)
	testkit.Serve(t, executor.Run, w.config())
	origin := filepath.Join(filepath.Dir(w.workspace), "origin")
	commit := func(name string) (hash string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "sh", "-euc", `test -d "$1" || git init -q -b main "$1"; cd "$1"; echo "$2" >"$2"; git add .
git -c user.name=a -c user.email=a@b.c commit -q -m "$2"; git rev-parse HEAD; chmod -R a+rX ..`, "sh", origin, name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	do := func(state contract.State, g contract.Git) (commit, out string) {
		t.Helper()
		op, out := w.ended(w.ask(contract.KindGit, contract.Command{Git: &g}))
		if op.State != state {
			t.Fatalf("git %s is %s, %+v\n%s", g.Verb, op.State, op.Failure, out)
		}
		if op.Result == nil {
			return "", out
		}
		return op.Result.Commit, out
	}
	commit("one")
	do(contract.Completed, contract.Git{Verb: "clone", URL: "file://" + origin})
	for i, pull := range []contract.Git{{Verb: "pull"}, {Verb: "pull"}, {Verb: "pull", Ref: "main"}, {Verb: "pull", Remote: "origin", Ref: "main"}} {
		want := commit(fmt.Sprint("new", i))
		if got, out := do(contract.Completed, pull); got != want {
			t.Errorf("%+v: HEAD is %s, want %s\n%s", pull, got, want, out)
		}
	}
	commit("theirs")
	w.ended(w.ask(contract.KindShell, script("echo ours >ours")))
	ours, _ := do(contract.Completed, contract.Git{Verb: "commit", Message: "ours"})
	if _, out := do(contract.Failed, contract.Git{Verb: "pull"}); !strings.Contains(out, "Not possible to fast-forward") {
		t.Errorf("it says %q", out)
	}
	if head, _ := do(contract.Completed, contract.Git{Verb: "checkout", Ref: "main"}); head != ours {
		t.Errorf("HEAD is %s, want %s", head, ours)
	}
}

func TestARefIsTheCommitThatACheckoutWouldHave(t *testing.T) {
	w := newWorld(t)
	testkit.Serve(t, executor.Run, w.config())
	origin := filepath.Join(filepath.Dir(w.workspace), "origin")
	setUp := exec.CommandContext(t.Context(), "sh", "-euc", `git init -q -b main "$1"; cd "$1"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.c GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.c
git commit -q --allow-empty -m one; git tag -a v1 -m v1; git commit -q --allow-empty -m two; git rev-parse v1^{commit} main; chmod -R a+rX ..`, "sh", origin)
	out, err := setUp.CombinedOutput()
	commits := strings.Fields(string(out))
	if err != nil || len(commits) != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for ref, want := range map[string]string{"": commits[1], "main": commits[1], "v1": commits[0], commits[0]: commits[0]} {
		op, out := w.ended(w.ask(contract.KindGit, contract.Command{Git: &contract.Git{Verb: contract.GitResolve, URL: "file://" + origin, Ref: ref}}))
		if op.State != contract.Completed || op.Result == nil || op.Result.Commit != want {
			t.Errorf("%q is %s, %+v, want %s\n%s", ref, op.State, op.Result, want, out)
		}
	}
	if op, _ := w.ended(w.ask(contract.KindGit, contract.Command{Git: &contract.Git{Verb: contract.GitResolve, URL: "file://" + origin, Ref: "none"}})); op.State != contract.Failed {
		t.Errorf("a ref that is not there is %s, %+v", op.State, op.Result)
	}
}

func TestASecondExecutorJoinsTheCommandOfOneThatStops(t *testing.T) {
	w := newWorld(t)
	stop := testkit.Serve(t, executor.Run, w.config())
	op := w.ask(contract.KindShell, script("echo begun; while [ ! -e go ]; do sleep 0.05; done; echo done"))
	testkit.Eventually(t, func() error {
		if w.printed(op) == "" {
			return errors.New("nothing printed yet")
		}
		return nil
	})
	stop()
	testkit.Serve(t, executor.Run, w.config())
	testkit.Eventually(t, func() error {
		now, err := w.conn.Load(t.Context(), op.ID)
		if err == nil && now.Attempt < 2 {
			err = errors.New("still the first attempt")
		}
		return err
	})
	if err := os.WriteFile(filepath.Join(w.workspace, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	end, out := w.ended(op)
	if end.State != contract.Completed || end.Attempt != 2 || out != "begun\ndone\n" {
		t.Errorf("%s in attempt %d, output %q; want completed, 2, each line once", end.State, end.Attempt, out)
	}
}

func TestACommandOfAProjectThatIsGoneFails(t *testing.T) {
	w := newWorld(t)
	testkit.Serve(t, executor.Run, w.config())
	for _, eventType := range []string{contract.TypeProjectDeleting, contract.TypeProjectDeleted} {
		if _, err := w.conn.UpdateProject(t.Context(), "shop", func(now *contract.Project) (string, contract.Project, error) {
			return eventType, *now, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	op, _ := w.ended(w.ask(contract.KindShell, script("true")))
	if op.State != contract.Failed || op.Failure.Class != contract.ClassUser || !strings.Contains(op.Failure.Message, "deleted") {
		t.Errorf("%s, %+v", op.State, op.Failure)
	}
}

func TestTheExecutorTellsWhichAgentsItKnows(t *testing.T) {
	w := newWorld(t)
	testkit.Serve(t, executor.Run, w.config())
	if err := w.conn.AwaitService(t.Context(), contract.ServiceExecutor); err != nil {
		t.Fatal(err)
	}
	list, err := bus.Call[struct{}, contract.AgentList](t.Context(), w.conn, contract.ServiceExecutor, contract.VerbAgents, struct{}{})
	if err != nil || len(list.Agents) != 4 || list.Agents[0].Name != "claude-code" {
		t.Errorf("%+v, %v", list, err)
	}
}
