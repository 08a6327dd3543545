package buildspec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

func TestWhatIsNoSpecification(t *testing.T) {
	const tooMany = "build.yml:0:  the text comes to more than 50000 values, with what its aliases stand for\n"
	laughs, merges := "a: &a [x, x, x, x, x, x, x, x, x, x]\n", "a: &a {x: y}\n"
	for i := 'b'; i < 'k'; i++ {
		merges += fmt.Sprintf("%c: &%c {<<: [%s]}\n", i, i, strings.Repeat(fmt.Sprintf("*%c, ", i-1), 9))
		laughs += fmt.Sprintf("%c: &%c [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*%c, ", i-1), 9))
	}
	for name, test := range map[string]struct{ text, want string }{
		"nothing":         {"", "build.yml:0:  the text is empty, and must have steps\n"},
		"a comment":       {"# later\n", "build.yml:0:  the text is empty, and must have steps\n"},
		"null":            {"~", "build.yml:0:  the text has no value; write one, or leave it out\n"},
		"text":            {"steps", "build.yml:0:  the text must be a mapping, not text\n"},
		"a list":          {"- run: x", "build.yml:0:  the text must be a mapping, not a list\n"},
		"no UTF-8":        {"name: \xff", "build.yml:0:  the text is not UTF-8\n"},
		"too long":        {"# " + strings.Repeat("x", 64<<10), "build.yml:0:  the text has more than 65536 bytes\n"},
		"open":            {"name: a\nsteps: [\n\n", "build.yml:4:  the text is not YAML: did not find expected node content\n"},
		"tabs":            {"name: a\nsteps:\n\t- run: x\n", "build.yml:3:  the text is not YAML: found character that cannot start any token\n"},
		"a colon":         {"name: a\nsteps:\n  - name: b\n    run: echo a: b\n", "build.yml:4:  the text is not YAML: mapping values are not allowed in this context\n"},
		"indented":        {"name: a\nsteps:\n  - name: b\n   run: x\n", "build.yml:3:  the text is not YAML: did not find expected '-' indicator\n"},
		"no anchor":       {"env: *env", "build.yml:0:  the text is not YAML: unknown anchor 'env' referenced\n"},
		"two documents":   {"steps: []\n---\nsteps: []\n", "build.yml:2:  the text has a second document, and must be one\n"},
		"a second, wrong": {"steps: []\n---\nsteps: [\n", "build.yml:4:  the text is not YAML: did not find expected node content\n"},
		"no steps":        {"name: x\n", "build.yml:0: steps is required: what the build does, step by step\n"},
		"itself":          {"env: &env {<<: *env}\nsteps: [{name: a, run: x}]", tooMany},
		"itself, a list":  {"steps: &steps [*steps]", "build.yml:1: steps[0] must be a mapping, not a list\n"},
		"laughs":          {laughs + "steps: *j", "build.yml:1: a is not a field that is known here\n"},
		"merged laughs":   {merges + "steps: [{name: a, run: x, env: *j}]", tooMany},
		"many laughs": {
			"steps:\n - &a {name: a, run: x, secrets: &b [" + strings.Repeat("x,", 10000) + "]}\n" + strings.Repeat(" - *a\n", 99),
			tooMany,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(test.text), nil)
			if got := problems(t, err); !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %swant %s", got, test.want)
			}
		})
	}
}

func TestParametersAreGiven(t *testing.T) {
	text := []byte(`params:
  TARGET: {default: staging, values: [staging, production]}
  VERSION: {}
steps:
  - {name: image, image: {tags: ["shop:$VERSION"]}, if: "params.TARGET == 'staging'"}
`)
	for name, test := range map[string]struct {
		params map[string]string
		want   string
	}{
		"all":          {map[string]string{"TARGET": "production", "VERSION": "7"}, ""},
		"the default":  {map[string]string{"VERSION": "7"}, ""},
		"none":         {nil, "build.yml:3: params.VERSION has no default, and no value was given\n"},
		"another":      {map[string]string{"VERSION": "7", "TRAGET": "x"}, "build.yml:1: params.TRAGET was given, and the build has no such parameter; did you mean \"TARGET\"?\n"},
		"not a value":  {map[string]string{"VERSION": "7", "TARGET": "test"}, "build.yml:2: params.TARGET is \"test\", and must be one of staging, production\n"},
		"what is none": {map[string]string{"VERSION": "7 8"}, "build.yml:5: steps[0].image.tags[0] is \"shop:7 8\", and must be a name of an image, as \"registry.example.com/shop:1.2\"\n"},
		"a zero byte":  {map[string]string{"VERSION": "\x00"}, "build.yml:3: params.VERSION must be UTF-8 text without zero bytes\nbuild.yml:5: steps[0].image.tags[0] must be UTF-8 text without zero bytes\n"},
	} {
		t.Run(name, func(t *testing.T) {
			build, err := parse(text, test.params)
			if test.want != "" {
				if diff := cmp.Diff(test.want, problems(t, err)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				return
			}
			if err != nil {
				t.Fatal(problems(t, err))
			}
			want := map[string]string{"TARGET": "staging", "VERSION": "7"}
			if given, ok := test.params["TARGET"]; ok {
				want["TARGET"] = given
			}
			if diff := cmp.Diff(want, build.Params); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(want, build.Steps[0].Command.Env); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestErrorsComeByLinesAndNotWithoutEnd(t *testing.T) {
	text := "steps:\n" + strings.Repeat("  - {nme: a}\n", 60)
	_, err := parse([]byte(text), nil)
	problem, ok := errors.AsType[*contract.Error](err)
	if !ok || len(problem.Fields) != 50 || problem.Detail != "the build has 120 errors, of which these are the first 50" {
		t.Fatalf("got %v", err)
	}
	line := 0
	for _, field := range problem.Fields {
		if field.Line < line {
			t.Errorf("line %d comes after line %d", field.Line, line)
		}
		line = field.Line
	}
	if _, err = parse([]byte("steps: []"), nil); err.Error() != "INVALID_REQUEST: the build has 1 error" {
		t.Errorf("got %v", err)
	}
}

func TestBounds(t *testing.T) {
	list := func(n int, item string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(item, i))
		}
		return strings.Join(all, ", ")
	}
	for name, test := range map[string]struct {
		text, want string // an error of the one that is one more than allowed
		most       int
	}{
		"steps":     {"steps: [%s]", "build.yml:1: steps has more than 100 steps", 100},
		"secrets":   {"secrets: [%s]\nsteps: [{name: a, run: x}]", "build.yml:1: secrets has more than 50 items", 50},
		"params":    {"params: {%s}\nsteps: [{name: a, run: x}]", "build.yml:1: params has more than 50 parameters", 50},
		"labels":    {"labels: {%s}\nsteps: [{name: a, run: x}]", "build.yml:1: labels has more than 50", 50},
		"axes":      {"steps: [{name: a, run: x, matrix: {%s}}]", "build.yml:1: steps[0].matrix has more than 5 names", 5},
		"caches":    {"steps: [{name: a, run: x, cache: [%s]}]", "build.yml:1: steps[0].cache has more than 10 caches", 10},
		"paths":     {"steps: [{name: a, run: x, cache: [{key: a, paths: [%s]}]}]", "build.yml:1: steps[0].cache[0].paths has more than 50 items", 50},
		"artifacts": {"steps: [{name: a, run: x, artifacts: [%s]}]", "build.yml:1: steps[0].artifacts has more than 50 items", 50},
		"services":  {"steps: [{name: a, run: x, services: [%s]}]", "build.yml:1: steps[0].services has more than 10 services", 10},
		"tags":      {"steps: [{name: a, image: {tags: [%s]}}]", "build.yml:1: steps[0].image.tags has more than 50 items", 50},
		"args":      {"steps: [{name: a, image: {tags: [a], args: {%s}}}]", "build.yml:1: steps[0].image.args has more than 50 arguments", 50},
		"matrix":    {"steps: [{name: a, run: x, matrix: {A: [%s]}}]", "build.yml:1: steps[0].matrix.A has more than 100 items", 100},
	} {
		items := map[string]string{
			"steps": "{name: a%d, run: x}", "secrets": "A%d", "params": "A%d: x", "labels": "a%d: x", "axes": "A%d: [x]", "caches": "{key: a%[1]d, paths: [~/a%[1]d]}",
			"paths": "~/a%d", "artifacts": "a%d", "services": "{name: a%d, run: x}", "tags": "a%d", "args": "A%d: x", "matrix": "a%d",
		}
		t.Run(name, func(t *testing.T) {
			if _, err := parse(fmt.Appendf(nil, test.text, list(test.most, items[name])), nil); err != nil {
				t.Errorf("%d are refused: %s", test.most, problems(t, err))
			}
			_, err := parse(fmt.Appendf(nil, test.text, list(test.most+1, items[name])), nil)
			if got := problems(t, err); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %swant %s", got, test.want)
			}
		})
	}
}

func TestABuildFitsIntoItsEvents(t *testing.T) {
	const step = `{name: a, matrix: {A: [%s]}, run: "%s"}`
	letters := "a, b, c, d, e, f, g, h"
	build, err := parse(fmt.Appendf(nil, "steps: ["+step+"]", letters, strings.Repeat("x", 31<<10)), nil)
	if err != nil {
		t.Fatal(problems(t, err))
	}
	encoded, err := json.Marshal(build)
	if err != nil || len(encoded) > 256<<10 {
		t.Errorf("%d bytes, %v", len(encoded), err)
	}
	_, err = parse(fmt.Appendf(nil, "steps: ["+step+"]", letters, strings.Repeat("x", 33<<10)), nil)
	want := "build.yml:1: steps come to more than 262144 bytes, with all that they inherit and each of a matrix\n"
	if got := problems(t, err); got != want {
		t.Errorf("got %s", got)
	}
	text := "env: {A: " + strings.Repeat("x", 30<<10) + "}\nsteps: [{name: a, run: x, cache: [{key: " + strings.Repeat("$A", 100) + ", paths: [~/a]}]}]"
	_, err = parse([]byte(text), nil)
	if got := problems(t, err); got != "build.yml:2: steps[0].cache[0].key has more than 500 bytes, with the values of its variables\n" {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsTooLong(t *testing.T) {
	long := strings.Repeat("ä", 2000)
	for name, test := range map[string]struct{ text, want string }{
		"name":        {"name: " + strings.Repeat("ä", 201) + "\nsteps: [{name: a, run: x}]", "build.yml:1: name must have at most 200 characters\n"},
		"field":       {"steps: [{name: a, run: x, " + long[:300] + ": x}]", "build.yml:1: steps[0] has a name of more than 200 bytes\n"},
		"need":        {"steps: [{name: a, run: x, needs: [" + long + "]}]", "build.yml:1: steps[0].needs[0] names \"" + strings.Repeat("ä", 196) + "…\n"},
		"needs":       {"steps: [{name: a, run: x, needs: [" + strings.Repeat("b,", 101) + "]}]", "build.yml:1: steps[0].needs has more than 100 names\n"},
		"condition":   {"steps: [{name: a, run: x, if: \"'" + long + "' == 'a'\"}]", "build.yml:1: steps[0].if has more than 2000 bytes\n"},
		"matrix":      {"steps: [{name: a, run: x}, {name: b, run: x, matrix: {A: [" + hundred() + "]}}]", "build.yml:1: steps come to more than 100, with each of a matrix\n"},
		"suggestions": {"steps: [{name: a, run: x, " + unknown(150) + "}]", "build.yml:1: steps[0].nameA0 is not a field that is known here; did you mean \"name\"?\n"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(test.text), nil)
			if got := problems(t, err); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %swant %s", got, test.want)
			}
		})
	}
}

func hundred() string {
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(all, ",")
}

func unknown(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("nameA%d: x", i))
	}
	return strings.Join(all, ",")
}
