package contract_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

func TestSubjectsAreSpelledAsTheContractSays(t *testing.T) {
	for got, want := range map[string]string{
		contract.AppendSubject("operation", "running", "id"): "rdev.append.operation.running.id",
		contract.EventSubject("operation", "running", "id"):  "rdev.events.operation.running.id",
		contract.EventFilter("operation", "id"):              "rdev.events.operation.*.id",
		contract.EntityFilter("operation"):                   "rdev.events.operation.>",
		contract.OutputSubject("id"):                         "rdev.output.id",
		contract.OutputAppendSubject("id"):                   "rdev.out.id",
		contract.Signal("id"):                                "rdev.signal.operation.id",
		contract.ServiceSubject("audit", "list"):             "rdev.svc.audit.list",
		contract.PodLane("shop").Subject():                   "rdev.cmd.executor.pod.shop",
		contract.ProjectLane("shop").Subject():               "rdev.cmd.provisioner.project.shop",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAnEventSubjectIsTakenApartAsItWasPutTogether(t *testing.T) {
	entity, eventType, id, ok := contract.ParseEventSubject(contract.EventSubject("operation", "cancel_requested", "0193-a"))
	if !ok || entity != "operation" || eventType != "cancel_requested" || id != "0193-a" {
		t.Errorf("%s, %s, %s, %v", entity, eventType, id, ok)
	}
	for _, other := range []string{
		"", "rdev.events.", "rdev.events.operation", "rdev.events.a.b", "rdev.events.a.b.c.d", "rdev.events..b.c",
		"rdev.events.a..c", "rdev.events.a.b.", "rdev.append.a.b.c", "xrdev.events.a.b.c",
	} {
		if _, _, _, ok := contract.ParseEventSubject(other); ok {
			t.Errorf("%q is taken for an event", other)
		}
	}
}

// matches tells whether a NATS filter matches a subject.
func matches(filter, subject string) bool {
	have := strings.Split(subject, ".")
	for i, token := range strings.Split(filter, ".") {
		switch {
		case token == ">":
			return i < len(have)
		case i >= len(have) || token != "*" && token != have[i]:
			return false
		}
	}
	return len(have) == strings.Count(filter, ".")+1
}

func TestEverySubjectHasOneStreamAndEveryConsumerHasOne(t *testing.T) {
	home := map[string]string{
		contract.AppendSubject("operation", "running", "id"):      contract.StreamEvents,
		contract.PodLane("shop").Subject():                        contract.StreamCommands,
		contract.ProjectLane("shop").Subject():                    contract.StreamCommands,
		contract.OutputAppendSubject("id"):                        contract.StreamOutput,
		"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.RDEV_CMD.exe": contract.StreamAdvisory,
		contract.LimitSubject("project.shop"):                     contract.StreamLimits,
		// What is stored under these came there by a transform, never directly.
		contract.EventSubject("operation", "running", "id"): "",
		contract.OutputSubject("id"):                        "",
		contract.Signal("id"):                               "",
		contract.ServiceSubject("audit", "list"):            "",
	}
	for subject, want := range home {
		var got []string
		for _, s := range contract.Streams() {
			if slices.ContainsFunc(s.Subjects, func(filter string) bool { return matches(filter, subject) }) {
				got = append(got, s.Name)
			}
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s goes to %v, want %q", subject, got, want)
		}
	}
	names := map[string]bool{}
	for _, s := range contract.Streams() {
		names[s.Name] = true
	}
	lease := contract.DefaultLease()
	for _, k := range contract.Consumers(lease) {
		if !names[k.Stream] {
			t.Errorf("consumer %s is of no stream: %s", k.Name, k.Stream)
		}
	}
	if lease.Heartbeat >= lease.SelfFence || lease.SelfFence >= lease.AckWait {
		t.Errorf("lease %+v: an executor has to stop before another may start", lease)
	}
}

func TestAnEventTypeIsMatchedWholeOrByItsEntity(t *testing.T) {
	for _, c := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"", "operation.completed", true},
		{"*", "operation.completed", true},
		{"operation.completed", "operation.completed", true},
		{"operation.*", "operation.completed", true},
		{"operation.complete", "operation.completed", false},
		{"operation.completed", "operation.complete", false},
		{"operation", "operation.completed", false},
		{"op.*", "operation.completed", false},
		{"project.*", "operation.completed", false},
		{"*.completed", "operation.completed", false},
		{".*", "operation.completed", false},
	} {
		if got := contract.MatchEventType(c.pattern, c.eventType); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.eventType, got, c.want)
		}
	}
}

// guardFilter is every way to spell the filter of one entity's events: in one
// literal, or its middle or end glued to something.
var guardFilter = regexp.MustCompile("[\"`]rdev\\.events\\.[^\"`]*\\*\\.|rdev\\.events\\.\" *\\+|[\"`]\\.\\*\\.[\"`] *\\+")

func TestNothingButTheContractBuildsTheGuardFilter(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		if err != nil || entry.IsDir() && (name == "contract" || name == "node_modules" || name != ".." && strings.HasPrefix(name, ".")) {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for n, line := range strings.Split(string(text), "\n") {
			if guardFilter.MatchString(line) {
				t.Errorf("%s:%d: %s: only contract.EventFilter may build this", path, n+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("looked at %d files: %v", files, err)
	}
	for _, forged := range []string{`"rdev.events.operation.*." + id`, `"rdev.events." + entity`, `entity + ".*." + id`, "`rdev.events.*.*.`"} {
		if !guardFilter.MatchString(forged) {
			t.Errorf("the pattern does not find %s", forged)
		}
	}
}
