package httpapi

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// recorded is a response that takes deadlines, as those of a server do.
type recorded struct{ *httptest.ResponseRecorder }

func (recorded) SetWriteDeadline(time.Time) error { return nil }

// lines is the plain text of a build whose operations a, b and c are of the steps one, two and three.
func lines(t *testing.T, see func(p *stepLines)) string {
	t.Helper()
	w := recorded{httptest.NewRecorder()}
	p := &stepLines{
		to:    plainSink{w: w, control: http.NewResponseController(w)},
		steps: map[string]string{"a": "one", "b": "two", "c": "three"},
		state: &contract.Operation{Build: &contract.Build{}},
	}
	see(p)
	return w.Body.String()
}

func TestALineOfABuildIsOfOneStepAndBeginsWithItsName(t *testing.T) {
	type chunks = []contract.Chunk
	out := func(operation string, offset int64, text string) contract.Chunk {
		return contract.Chunk{Operation: operation, Stream: contract.OutputStdout, Offset: offset, Data: []byte(text)}
	}
	ended := func(operation string) *contract.Operation {
		return &contract.Operation{Build: &contract.Build{Steps: []contract.BuildStep{
			{Operation: operation, State: contract.StepCompleted}, {Operation: "c", State: contract.StepRunning},
		}}}
	}
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct {
		name   string
		chunks chunks
		then   func(*stepLines) error
		want   string
	}{
		{"whole lines", chunks{out("a", 0, "1\n2\n"), out("b", 0, "\n3\n")}, nil, "[one] 1\n[one] 2\n[two] \n[two] 3\n"},
		{"parts of lines", chunks{out("a", 0, "1"), out("b", 0, "2"), out("a", 1, "1\n3"), out("b", 1, "2\n")}, nil, "[one] 11\n[two] 22\n"},
		{"both streams", chunks{out("a", 0, "1"), {Operation: "a", Stream: contract.OutputStderr, Data: []byte("2\n")}, out("a", 1, "\n")}, nil, "[one] 2\n[one] 1\n"},
		{"an agent", chunks{{Operation: "b", Stream: contract.OutputAgent, Data: []byte(`{"seq":1}`)}, {Operation: "b", Stream: contract.OutputAgent, Offset: 1, Data: []byte(`{"seq":2}`)}}, nil, "[two] {\"seq\":1}\n[two] {\"seq\":2}\n"},
		{"too long a line", chunks{out("a", 0, "x"), out("a", 1, long), out("b", 0, "2\n"), out("a", maxLine+1, "y\n")}, nil, "[one] " + long + "\n[two] 2\n[one] xy\n"},
		{"a line as long as may be", chunks{out("a", 0, long[1:]+"\n")}, nil, "[one] " + long[1:] + "\n"},
		{"another try begins", chunks{out("a", 0, "1"), out("a", 0, "2\n")}, nil, "[one] 1\n[one] 2\n"},
		{"another attempt goes on", chunks{{Operation: "a", Stream: contract.OutputStdout, Attempt: 1, Data: []byte("1")}, {Operation: "a", Stream: contract.OutputStdout, Attempt: 2, Offset: 1, Data: []byte("2\n")}}, nil, "[one] 12\n"},
		{"a step ends", chunks{out("a", 0, "1"), out("c", 0, "3")}, func(p *stepLines) error { return p.State(ended("a")) }, "[one] 1\n"},
		{"a step had ended", chunks{out("a", 0, "1"), out("c", 0, "3")}, func(p *stepLines) error { p.state = ended("a"); return p.Idle() }, "[one] 1\n"},
		{"the build ends", chunks{out("a", 0, "1"), out("c", 0, "3")}, func(p *stepLines) error { return p.End(nil) }, "[one] 1\n[three] 3\n"},
		{"a gap", chunks{out("a", 0, "1"), out("c", 0, "3")}, func(p *stepLines) error { return p.Gap("a", 7, 9) }, "[one] 1\n[one] [output 7 to 9 is not kept any more]\n"},
	} {
		got := lines(t, func(p *stepLines) {
			for _, chunk := range c.chunks {
				if err := p.Chunk(chunk); err != nil {
					t.Fatal(err)
				}
			}
			if c.then != nil {
				if err := c.then(p); err != nil {
					t.Fatal(err)
				}
			}
		})
		if got != c.want {
			t.Errorf("%s: %.200q, want %.200q", c.name, got, c.want)
		}
	}
}

func TestHoweverTheOutputOfABuildIsCutItsLinesStayWhole(t *testing.T) {
	text := map[string]string{}
	for operation, name := range map[string]string{"a": "one", "b": "two", "c": "three"} {
		for range 200 {
			text[operation] += name + strings.Repeat("-", rand.IntN(30)) + "\n"
		}
	}
	got := lines(t, func(p *stepLines) {
		written := map[string]int{}
		for rest := []string{"a", "b", "c"}; len(rest) > 0; {
			i := rand.IntN(len(rest))
			operation := rest[i]
			from := written[operation]
			to := min(from+rand.IntN(50), len(text[operation]))
			chunk := contract.Chunk{Operation: operation, Stream: contract.OutputStdout, Offset: int64(from), Data: []byte(text[operation][from:to])}
			if err := p.Chunk(chunk); err != nil {
				t.Fatal(err)
			}
			if written[operation] = to; to == len(text[operation]) {
				rest = append(rest[:i], rest[i+1:]...)
			}
		}
	})
	seen := map[string]string{}
	for line := range strings.Lines(got) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "["), "] ")
		if !strings.HasPrefix(rest, name) {
			t.Fatalf("line %q", line)
		}
		seen[name] += rest
	}
	if seen["one"] != text["a"] || seen["two"] != text["b"] || seen["three"] != text["c"] {
		t.Errorf("%d, %d and %d bytes, want %d, %d and %d", len(seen["one"]), len(seen["two"]), len(seen["three"]), len(text["a"]), len(text["b"]), len(text["c"]))
	}
}

func TestAnEventOfAnAgentSaysOfWhichStepItIs(t *testing.T) {
	for data, want := range map[string]string{
		`{"seq":1,"type":"text"}`:  `{"step":"one","operation":"a","seq":1,"type":"text"}`,
		" {\n\t\"seq\": 1\n}\n":    `{"step":"one","operation":"a","seq":1}`,
		`{}`:                       `{"step":"one","operation":"a"}`,
		"{ \n}":                    `{"step":"one","operation":"a"}`,
		`[1]`:                      `{"step":"one","operation":"a","data":[1]}`,
		`{"seq":`:                  `{"step":"one","operation":"a","data":"{\"seq\":"}`,
		``:                         `{"step":"one","operation":"a","data":""}`,
		`{"text":"}"}`:             `{"step":"one","operation":"a","text":"}"}`,
		"{\"seq\":1}\n{\"seq\":2}": `{"step":"one","operation":"a","data":"{\"seq\":1}\n{\"seq\":2}"}`,
	} {
		made, err := encodeStepChunk(contract.Chunk{Stream: contract.OutputAgent, Seq: 7, Data: []byte(data)}, ofStep{"one", "a"})
		if err != nil || string(made.Data) != want || made.ID != 7 || !json.Valid(made.Data) {
			t.Errorf("%q: %s, %v; want %s", data, made.Data, err, want)
		}
	}
}
