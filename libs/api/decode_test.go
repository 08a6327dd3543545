package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
)

type order struct {
	Name  string            `json:"name"`
	Count int               `json:"count"`
	Price float64           `json:"price"`
	Paid  bool              `json:"paid"`
	Tags  []string          `json:"tags"`
	Notes map[string]string `json:"notes"`
	Wait  contract.Duration `json:"wait"`
	Size  *struct {
		Width int `json:"width"`
	} `json:"size"`
}

func TestADecodedBodyIsWhatWasSent(t *testing.T) {
	body := `{"name":"a","count":3,"price":1.5,"paid":true,"tags":["x","x"],"notes":{"k":"v","K":"w"},"wait":"1m","size":{"width":2}}`
	got, err := api.DecodeJSON[order](httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(strings.ReplaceAll(body, `"1m"`, `"1m0s"`), `"k":"v","K":"w"`, `"K":"w","k":"v"`)
	if diff := cmp.Diff(want, string(again)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrongWithABodyIsSaidInItsOwnTerms(t *testing.T) {
	for name, c := range map[string]struct{ body, field, detail string }{
		"empty":                {``, "", "the body is empty; send a JSON object"},
		"white space":          {" \n", "", "the body is empty; send a JSON object"},
		"no JSON":              {`{"name":x}`, "", "no JSON at byte 9"},
		"cut off":              {`{"name":"a"`, "", "the JSON ends too early"},
		"null":                 {`null`, "", "the body must be a JSON object"},
		"array":                {`[]`, "", "the body must be a JSON object"},
		"two values":           {`{} {}`, "", "the body has more than one JSON value"},
		"rest":                 {`{}x`, "", "the body has more than one JSON value"},
		"unknown field":        {`{"nickname":"a"}`, "nickname", "nickname is not a field that is known here"},
		"unknown inner field":  {`{"size":{"height":1}}`, "height", "height is not a field that is known here"},
		"number for string":    {`{"name":1}`, "name", "name is a JSON number; want a string"},
		"string for number":    {`{"count":"1"}`, "count", "count is a JSON string; want a whole number"},
		"fraction for integer": {`{"count":1.5}`, "count", "count is a JSON number 1.5; want a whole number"},
		"too large a number":   {`{"price":1e999}`, "price", "price is a JSON number 1e999; want a number"},
		"string for boolean":   {`{"paid":"yes"}`, "paid", "paid is a JSON string; want true or false"},
		"object for list":      {`{"tags":{}}`, "tags", "tags is a JSON object; want an array"},
		"list for object":      {`{"notes":[]}`, "notes", "notes is a JSON array; want an object"},
		"number for duration":  {`{"wait":5}`, "wait", "wait is a JSON number; want a string"},
		"inner type":           {`{"size":{"width":"x"}}`, "size.width", "size.width is a JSON string; want a whole number"},
		"twice":                {`{"name":"a","name":"b"}`, "name", "name is given twice"},
		"twice in other case":  {`{"name":"a","NAME":"b"}`, "NAME", "NAME is given twice"},
		"inner twice":          {`{"notes":{"k":"a","k":"b"}}`, "k", "k is given twice"},
		"twice after nesting":  {`{"tags":["name","name"],"name":"a","size":{"width":1},"name":"b"}`, "name", "name is given twice"},
		"no UTF-8":             {"{\"name\":\"\xff\"}", "", "the body is not UTF-8"},
		"deep":                 {`{"size":` + strings.Repeat(`{"size":`, 100_000) + `1` + strings.Repeat(`}`, 100_001), "", "no JSON at byte 80001"},
	} {
		t.Run(name, func(t *testing.T) {
			var into order
			err := api.Decode([]byte(c.body), &into)
			problem, ok := errors.AsType[*contract.Error](err)
			if !ok || problem.Code != contract.CodeInvalidRequest {
				t.Fatalf("error %v, want INVALID_REQUEST", err)
			}
			field := ""
			for _, f := range problem.Fields {
				field = f.Field
			}
			if !strings.HasPrefix(problem.Detail, c.detail) || field != c.field {
				t.Errorf("detail %q of field %q, want %q of %q", problem.Detail, field, c.detail, c.field)
			}
		})
	}
}

func TestABodyOverTheLimitIsRefusedBeforeItIsRead(t *testing.T) {
	for size, code := range map[int]contract.Code{api.MaxBody: "", api.MaxBody + 1: contract.CodePayloadTooLarge} {
		body := `{"name":"` + strings.Repeat("a", size-len(`{"name":""}`)) + `"}`
		_, err := api.DecodeJSON[order](httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		problem, refused := errors.AsType[*contract.Error](err)
		if refused != (code != "") || refused && problem.Code != code {
			t.Errorf("%d bytes: %v, want %q", size, err, code)
		}
	}
}

// FuzzDecode checks that no body makes the decoder panic, and that what it
// accepts has one meaning: written again it reads back the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","notes":{"k":"v"},"size":{"width":1}}`))
	f.Add([]byte(`{"a":[{"b":1}],"a":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var first, second order
		if err := api.Decode(body, &first); err != nil {
			if _, ok := errors.AsType[*contract.Error](err); !ok {
				t.Fatalf("error %v is no problem", err)
			}
			return
		}
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := api.Decode(again, &second); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Error(diff)
		}
	})
}
