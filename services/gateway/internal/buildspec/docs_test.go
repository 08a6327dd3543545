package buildspec_test

import (
	"os"
	"strings"
	"testing"
)

// TestTheExamplesOfTheDocsAreBuilds parses what docs/builds.md has in YAML.
func TestTheExamplesOfTheDocsAreBuilds(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/builds.md")
	if err != nil {
		t.Fatal(err)
	}
	schema := compileSchema(t)
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("there are none")
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		var params map[string]string
		if strings.Contains(text, "VERSION: {}") {
			params = map[string]string{"VERSION": "1.2"}
		}
		if _, err := parse([]byte(text), params); err != nil {
			t.Errorf("%s\n%s", problems(t, err), text)
		}
		value, err := asJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("the schema says %v\n%s", err, text)
		}
	}
}

// TestTheErrorsOfTheDocsAreTold makes the mistakes that docs/builds.md shows.
func TestTheErrorsOfTheDocsAreTold(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/builds.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	text = strings.NewReplacer("needs: [test, build]", "needs: [tset, build]", "if: params.TARGET", "if: params.TARGT").Replace(text)
	_, err = parse([]byte(text), nil)
	if got := problems(t, err); !strings.Contains(string(page), "```\n"+got+"```") {
		t.Errorf("got\n%s", got)
	}
}
