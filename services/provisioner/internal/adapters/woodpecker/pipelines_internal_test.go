package woodpecker

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker/woodpeckertest"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func TestAPipelineIsStartedReadCancelledAndStartedAgain(t *testing.T) {
	w := newWorld(t)
	of := w.activated()
	started, err := w.Run(t.Context(), of, contract.RunPipeline{Variables: map[string]string{"TARGET": "staging"}})
	if err != nil {
		t.Fatal(err)
	}
	p := started.Pipeline
	if p.Number != 1 || p.Status != contract.PipelinePending || p.Event != "manual" || p.Branch != "main" || p.URL != w.ci.URL+"/repos/1/pipeline/1" ||
		p.CreatedAt.IsZero() || p.StartedAt != nil || len(p.Workflows) != 1 || started.Replayed {
		t.Errorf("%+v", started)
	}
	w.ci.Set("rdev/shop", 1, "failure", 2, woodpeckertest.Problem{Type: "deprecation", Message: "old", IsWarning: true})
	if p, err = w.Get(t.Context(), of, 1); err != nil || p.Status != contract.PipelineFailure || p.StartedAt == nil || p.FinishedAt == nil ||
		!slices.Equal(p.Errors, []contract.PipelineProblem{{Message: "old", Warning: true}}) {
		t.Errorf("%+v, %v", p, err)
	}
	step := w.ci.Say("rdev/shop", 1, "one\r\n", "two", "", "\xff\n")
	if got := p.Workflows[0].Steps; len(got) != 1 || got[0].ID != step || got[0].Name != "test" || got[0].ExitCode != 2 || got[0].Status != contract.PipelineFailure {
		t.Errorf("%+v", got)
	}
	if lines, err := w.Logs(t.Context(), of, 1, step); err != nil || !slices.Equal(lines, []string{"one", "two", "", "\xff"}) {
		t.Errorf("%q, %v", lines, err)
	}
	if p, err = w.Rerun(t.Context(), of, 1); err != nil || p.Number != 2 || p.Status != contract.PipelinePending {
		t.Errorf("%+v, %v", p, err)
	}
	if err := w.Cancel(t.Context(), of, 2); err != nil {
		t.Error(err)
	}
	if p, err = w.Get(t.Context(), of, 2); err != nil || p.Status != contract.PipelineCanceled {
		t.Errorf("%+v, %v", p, err)
	}
	_, getErr := w.Get(t.Context(), of, 3)
	_, rerunErr := w.Rerun(t.Context(), of, 3)
	_, logsErr := w.Logs(t.Context(), of, 1, step+1)
	for what, err := range map[string]error{"get": getErr, "rerun": rerunErr, "logs": logsErr, "cancel": w.Cancel(t.Context(), of, 3)} {
		if !errors.Is(err, contract.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatStartsNoPipelineSaysWhy(t *testing.T) {
	w := newWorld(t)
	of := w.activated()
	w.ci.Branch("rdev/shop", "push-only", "push")
	run := func(branch string) error {
		_, err := w.Run(t.Context(), of, contract.RunPipeline{Branch: branch})
		return err
	}
	wantFailure(t, run("push-only"), contract.ClassUser, "the branch push-only has no pipeline for the event manual")
	wantFailure(t, run("gone"), contract.ClassUser, "the branch may not exist")
	w.ci.Fail(woodpeckertest.Fault{Method: "POST", Path: "/pipelines", Status: 502})
	if err := run("main"); !isStatus(err, 502) {
		t.Error(err)
	}
}

func TestTheSameRequestStartsOnePipeline(t *testing.T) {
	w := newWorld(t)
	of := w.activated()
	run := contract.RunPipeline{Request: "r1", Variables: map[string]string{"A": "b"}}
	first, err := w.Run(t.Context(), of, run)
	if err != nil || first.Replayed {
		t.Fatalf("%+v, %v", first, err)
	}
	w.ci.Push("rdev/shop", "main", "m")
	if _, err := w.Rerun(t.Context(), of, 1); err != nil { // it has the variables of the first
		t.Fatal(err)
	}
	if again, err := w.Run(t.Context(), of, run); err != nil || !again.Replayed || again.Pipeline.Number != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if len(run.Variables) != 1 {
		t.Errorf("the request has become %v", run.Variables)
	}
	for _, other := range []contract.RunPipeline{{Request: "r1"}, {Request: "r1", Variables: map[string]string{"A": "c"}}, {Request: "r1", Branch: "dev", Variables: run.Variables}} {
		_, err := w.Run(t.Context(), of, other)
		wantError(t, err, contract.CodeIdempotencyMismatch, "started pipeline 1")
	}
	for range 2 {
		if other, err := w.Run(t.Context(), of, contract.RunPipeline{}); err != nil || other.Replayed {
			t.Errorf("%+v, %v", other, err)
		}
	}
	if other, err := w.Run(t.Context(), of, contract.RunPipeline{Request: "r2"}); err != nil || other.Replayed || other.Pipeline.Number != 6 {
		t.Errorf("%+v, %v", other, err)
	}
}

// The CI may have been set up anew, and give an id to another repository.
func TestPipelinesOfAnotherRepositoryAreNeverShown(t *testing.T) {
	w := newWorld(t)
	of := w.activated()
	w.ci.Push("rdev/shop", "main", "m")
	before := w.ci.Dump()
	for _, other := range []app.CIOf{{ID: of.ID, Forge: "3"}, {ID: "99", Forge: "2"}} {
		for _, err := range w.everyOf(t.Context(), other) {
			wantError(t, err, contract.CodeNotFound, "the CI")
		}
	}
	if got := w.ci.Dump(); got != before {
		t.Errorf("there was\n%s\nand is\n%s", before, got)
	}
	if _, err := w.Get(t.Context(), app.CIOf{ID: "../2"}, 1); err == nil {
		t.Error("what is no number is an id")
	}
}

// numbers lists all pipelines, page by page; between does something after each page.
func (w *world) numbers(of app.CIOf, limit int, between func(page int)) (all []int64) {
	w.t.Helper()
	cursor := ""
	for page := 1; ; page++ {
		list, next, err := w.List(w.t.Context(), of, cursor, limit)
		if err != nil || len(list) > limit || len(list) == 0 && next != "" {
			w.t.Fatalf("page %d, of %q: %d pipelines, then %q, %v", page, cursor, len(list), next, err)
		}
		for _, p := range list {
			all = append(all, p.Number)
			if len(p.Workflows) > 0 || strings.Contains(p.Message, "\n") {
				w.t.Errorf("%+v", p)
			}
		}
		if next == "" {
			return all
		}
		cursor = next
		between(page)
	}
}

func TestAListHasEachPipelineOnceWhateverComesAndGoes(t *testing.T) {
	w := newWorld(t)
	of := w.activated()
	if got := w.numbers(of, 10, nil); got != nil {
		t.Errorf("of none it has %v", got)
	}
	const there = 130
	for range there {
		w.ci.Push("rdev/shop", "main", "first line\nsecond")
	}
	down := func(from, to int64) (all []int64) {
		for n := from; n >= to; n-- {
			all = append(all, n)
		}
		return all
	}
	quiet := func(int) {}
	for _, limit := range []int{1, 7, 49, 50, 51, 100, 129, 130, 200} {
		if got := w.numbers(of, limit, quiet); !slices.Equal(got, down(there, 1)) {
			t.Errorf("by %d it has %v", limit, got)
		}
	}
	// Others come meanwhile.
	more := func(int) {
		for range 30 {
			w.ci.Push("rdev/shop", "main", "m")
		}
	}
	if got := w.numbers(of, 20, more); !slices.Equal(got, down(there, 1)) {
		t.Errorf("while others came it has %v", got)
	}
	// And others go, which were listed already.
	newest := int64(len(w.numbers(of, 200, quiet)))
	gone := newest
	got := w.numbers(of, 60, func(int) {
		for range 55 {
			w.ci.Purge("rdev/shop", gone)
			gone--
		}
	})
	if !slices.Equal(got, down(newest, 1)) {
		t.Errorf("while others went it has %v", got)
	}
	for _, cursor := range []string{"x", "1", "0-1", "1-0", "-1-1", "1-1-1", "01-1", "1-99999999", "9223372036854775808-1"} {
		_, _, err := w.List(t.Context(), of, cursor, 10)
		wantError(t, err, contract.CodeInvalidRequest, "cursor")
	}
}

func TestAnAnswerThatIsTooLargeIsNotRead(t *testing.T) {
	w := newWorld(t)
	of := w.activated()
	w.ci.Push("rdev/shop", "main", "m")
	step := w.ci.Say("rdev/shop", 1, strings.Repeat("x", maxAnswer))
	_, err := w.Logs(t.Context(), of, 1, step)
	wantFailure(t, err, contract.ClassUser, "more than 32 MiB: look at it in the CI")
}

func FuzzWhatTheCITellsFitsIntoAReply(f *testing.F) {
	for _, seed := range []string{
		`{"number":7,"author":"a","event":"push","status":"error","errors":[{"type":"linter","message":"m","is_warning":false}],"created":1772366400,"started":1,"finished":2,` +
			`"commit":"c","branch":"main","ref":"r","message":"m\nn","variables":{"A":"b"},"workflows":[{"name":"w","state":"success","children":[{"id":1,"name":"s","state":"success","exit_code":0,"type":"clone"}]}]}`,
		`{"created":9223372036854775807,"started":253402300800,"message":"` + strings.Repeat("é", 3000) + `"}`, `{"errors":null,"workflows":null}`, `[]`, `{"number":"x"}`,
	} {
		f.Add(seed)
	}
	s := &Server{base: "https://ci.example"}
	f.Fuzz(func(t *testing.T, text string) {
		var p pipeline
		if json.Unmarshal([]byte(text), &p) != nil {
			return
		}
		brief := s.brief(repository{ID: 1}, p)
		encoded, err := json.Marshal(brief)
		if err != nil || len(encoded) > 6*(6*maxWord+maxFirstLine)+500 {
			t.Errorf("%v, %d bytes", err, len(encoded))
		}
		whole := s.whole(repository{ID: 1}, p)
		if encoded, err = json.Marshal(whole); err != nil || !utf8.Valid(encoded) || len(whole.Message) > maxMessage || len(whole.Errors) > maxProblems {
			t.Errorf("%v: %s", err, encoded)
		}
	})
}

func FuzzACursorIsReadAsItWasWritten(f *testing.F) {
	for _, seed := range []string{"1-1", "9223372036854775807-20000", "", "-", "1-", "+1-1", "１-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err == nil && (c.String() != text || c.number < 1 || c.page < 1) {
			t.Errorf("%q is %+v", text, c)
		}
	})
}

func FuzzALineOfAnErrorIsShortAndPlain(f *testing.F) {
	f.Add([]byte("<html>\n<b>\x1b[2J"))
	f.Add([]byte(strings.Repeat("é", 400)))
	f.Fuzz(func(t *testing.T, answer []byte) {
		text := line(answer)
		if len(text) > 300 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x1b\x00") {
			t.Errorf("%q", text)
		}
	})
}
