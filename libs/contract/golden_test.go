package contract_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

// goldens are the documents in testdata by the beginning of their names. They
// are as they once were written, and logs are full of them: a file may be added,
// and none may be changed.
func goldens() map[string]any {
	return map[string]any{
		"operation":  &contract.Operation{},
		"project":    &contract.Project{},
		"webhook":    &contract.Webhook{},
		"worker":     &contract.Worker{},
		"delivery":   &contract.Delivery{},
		"command":    &contract.RunOperation{},
		"agentevent": &contract.AgentEvent{},
		"error":      &contract.Error{},
		"pipeline":   &contract.Pipeline{},
	}
}

func readGoldens(t *testing.T, kind string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", kind+".*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden %s: %v", kind, err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func decodeStrictly(t *testing.T, name string, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Errorf("%s does not decode any more: %v", name, err)
	}
}

func TestWhatWasEverWrittenIsStillReadWholly(t *testing.T) {
	for kind, empty := range goldens() {
		for name, text := range readGoldens(t, kind) {
			value := reflect.New(reflect.TypeOf(empty).Elem()).Interface()
			decodeStrictly(t, name, text, value)
			again, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			var was, is any
			decodeStrictly(t, name, text, &was)
			decodeStrictly(t, name, again, &is)
			if diff := cmp.Diff(was, within(is, was)); diff != "" {
				t.Errorf("%s is read and written as something else (-golden +now):\n%s", name, diff)
			}
		}
	}
}

// within is is without the fields that was has not: what was added since.
func within(is, was any) any {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok {
			return is
		}
		kept := map[string]any{}
		for name, value := range was {
			if now, ok := is[name]; ok {
				kept[name] = within(now, value)
			}
		}
		return kept
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) != len(was) {
			return is
		}
		kept := make([]any, len(is))
		for i := range is {
			kept[i] = within(is[i], was[i])
		}
		return kept
	}
	return is
}

func TestEveryFieldIsInAGoldenDocument(t *testing.T) {
	for kind, empty := range goldens() {
		seen := map[string]bool{}
		for name, text := range readGoldens(t, kind) {
			var document any
			decodeStrictly(t, name, text, &document)
			note(document, "", seen)
		}
		for _, path := range fields(reflect.TypeOf(empty).Elem(), "") {
			// A sequence is set on reading.
			if !seen[path] && path != "/seq" {
				t.Errorf("%s%s is in no document of testdata: add one that has it", kind, path)
			}
		}
	}
}

// note marks the paths of all fields that are not null.
func note(document any, path string, seen map[string]bool) {
	switch d := document.(type) {
	case map[string]any:
		for name, value := range d {
			note(value, path+"/"+name, seen)
		}
	case []any:
		for _, value := range d {
			note(value, path, seen)
		}
	case nil:
		return
	}
	seen[path] = true
}

// fields are the paths of all fields of a type's JSON.
func fields(of reflect.Type, path string) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return []string{path}
	}
	var all []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		all = append(all, fields(field.Type, path+"/"+name)...)
	}
	return all
}

func TestTheGoldenEventsOfAnOperationFollowEachOther(t *testing.T) {
	files := readGoldens(t, "operation")
	read := func(eventType string) contract.Operation {
		var op contract.Operation
		decodeStrictly(t, eventType, files["operation."+eventType+".json"], &op)
		return op
	}
	fold := func(prev *contract.Operation, eventType string) *contract.Operation {
		next, err := contract.Fold(prev, eventType, read(eventType))
		if err != nil {
			t.Errorf("%s: %v", eventType, err)
		}
		return &next
	}
	asked := fold(fold(fold(nil, contract.TypePending), contract.TypeRunning), contract.TypeCancelRequested)
	for _, end := range []string{contract.TypeCompleted, contract.TypeFailed, contract.TypeCancelled} {
		if op := fold(asked, end); !op.State.Ended() {
			t.Errorf("%s leaves the operation %s", end, op.State)
		}
	}
}

func TestADurationIsWrittenAsGoWritesItAndReadBack(t *testing.T) {
	type document struct {
		D contract.Duration `json:"d,omitzero"`
	}
	for want, d := range map[string]time.Duration{
		`{"d":"1h30m0s"}`: 90 * time.Minute, `{"d":"1.5s"}`: 1500 * time.Millisecond, `{"d":"-1ns"}`: -1, `{}`: 0,
	} {
		text, err := json.Marshal(document{contract.Duration(d)})
		if err != nil || string(text) != want {
			t.Errorf("%s is written %s, want %s: %v", d, text, want, err)
		}
		var back document
		if err := json.Unmarshal(text, &back); err != nil || time.Duration(back.D) != d {
			t.Errorf("%s is read as %s: %v", text, time.Duration(back.D), err)
		}
	}
	var d document
	if err := json.Unmarshal([]byte(`{"d":"30m"}`), &d); err != nil || time.Duration(d.D) != 30*time.Minute {
		t.Errorf("30m is read as %s: %v", time.Duration(d.D), err)
	}
	for _, wrong := range []string{`{"d":30}`, `{"d":"30"}`, `{"d":""}`, `{"d":"soon"}`, `{"d":true}`} {
		if err := json.Unmarshal([]byte(wrong), &d); err == nil {
			t.Errorf("%s is read as %s", wrong, time.Duration(d.D))
		}
	}
}
