package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

func TestTheWayThroughTheQueueIsToldOnce(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	failed := contract.Try{Attempt: 1, Worker: "w1", Failure: contract.NewFailure(contract.ClassUser, "exit status 1")}
	lost := contract.Try{Attempt: 2, Worker: "w1", Failure: contract.NewFailure(contract.ClassInfrastructure, "lost\x1b[2J")}
	pending := func(in time.Duration, tries ...contract.Try) contract.Operation {
		work := &contract.Work{Tries: tries}
		if in > 0 {
			work.RunAt = new(now.Add(in))
		}
		return contract.Operation{State: contract.Pending, Lane: contract.WorkLane(), Work: work}
	}
	at := func(worker string, state contract.State, tries ...contract.Try) contract.Operation {
		return contract.Operation{State: state, Lane: contract.WorkerLane(worker), Work: &contract.Work{Tries: tries}}
	}
	held := pending(0)
	held.Held = true
	const again = "attempt 1 failed: user: exit status 1; tried again"
	for name, test := range map[string]struct {
		snapshots []contract.Operation
		want      []string
	}{
		"goes well": {
			[]contract.Operation{pending(0), pending(0), at("w1", contract.Running), at("w1", contract.Running), at("w1", contract.Completed)},
			[]string{"queued", "running on w1"},
		},
		"delayed":           {[]contract.Operation{pending(10 * time.Minute), pending(9 * time.Minute)}, []string{"queued, due in 10m"}},
		"never runs":        {[]contract.Operation{pending(0), at("", contract.Cancelled)}, []string{"queued"}},
		"ended before":      {[]contract.Operation{at("w1", contract.Failed, failed)}, nil},
		"held":              {[]contract.Operation{held, pending(0)}, []string{"queued"}},
		"is no work":        {[]contract.Operation{{State: contract.Pending}, {State: contract.Running}}, nil},
		"another executor":  {[]contract.Operation{at("w1", contract.Running), at("w1", contract.Running)}, []string{"running on w1"}},
		"waits for another": {[]contract.Operation{pending(10*time.Second, failed), pending(9*time.Second, failed)}, []string{again + " in 10s"}},
		"runs for another":  {[]contract.Operation{at("w1", contract.Running, failed)}, []string{"running on w1"}},
		"tried again": {
			[]contract.Operation{at("w1", contract.Running), pending(10*time.Second, failed), at("w1", contract.Running, failed), pending(0, failed, lost), at("w2", contract.Running, failed, lost)},
			[]string{"running on w1", again + " in 10s", "running on w1", "attempt 2 failed: infrastructure: lost [2J; tried again now", "running on w2"},
		},
		"missed": {
			[]contract.Operation{at("w1", contract.Running), at("w1", contract.Running, failed)},
			[]string{"running on w1", again, "running on w1"},
		},
		"missed two": {
			[]contract.Operation{at("w1", contract.Running), pending(time.Minute, failed, lost)},
			[]string{"running on w1", again, "attempt 2 failed: infrastructure: lost [2J; tried again in 1m"},
		},
		"missed the end": {
			[]contract.Operation{pending(0), at("w1", contract.Completed, failed)}, []string{"queued", again},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var queue queueNews
			var got []string
			for _, op := range test.snapshots {
				got = append(got, queue.news(op, now)...)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARefStandsBehindTheAddress(t *testing.T) {
	for given, want := range map[string][2]string{
		"https://git.example.com/shop.git":              {"https://git.example.com/shop.git", ""},
		"https://git.example.com/shop.git@main":         {"https://git.example.com/shop.git", "main"},
		"https://git.example.com/shop.git@feature/a":    {"https://git.example.com/shop.git", "feature/a"},
		"https://git.example.com/shop.git@pkg@1.2.0":    {"https://git.example.com/shop.git", "pkg@1.2.0"},
		"https://git.example.com/@me/shop.git":          {"https://git.example.com/@me/shop.git", ""},
		"https://git.example.com/@me/shop.git@@me/v1@2": {"https://git.example.com/@me/shop.git", "@me/v1@2"},
		"ssh://git@git.example.com/shop.git":            {"ssh://git@git.example.com/shop.git", ""},
		"ssh://git@git.example.com:22/shop.git@v1":      {"ssh://git@git.example.com:22/shop.git", "v1"},
		"https://git@example.com":                       {"https://git@example.com", ""},
		"git@git.example.com:shop.git":                  {"git@git.example.com:shop.git", ""},
		"git@git.example.com:shop.git@v1":               {"git@git.example.com:shop.git", "v1"},
		"file:///srv/shop.git@main":                     {"file:///srv/shop.git", "main"},
		"":                                              {"", ""},
	} {
		if url, ref := splitRef(given); url != want[0] || ref != want[1] {
			t.Errorf("%q is %q at %q, want %q at %q", given, url, ref, want[0], want[1])
		}
	}
}

func TestItemsAreSentInPartsThatFit(t *testing.T) {
	for given, want := range map[string]string{
		"":                    "",
		"1":                   "1",
		"1 2 3":               "1 2 3",
		"1 2 3 4":             "1 2 3|4",
		"44444 5":             "44444 5",
		"44444 55":            "44444|55",
		"999999999":           "999999999",
		"1 999999999 2 3 4 5": "1|999999999|2 3 4|5",
	} {
		var items []json.RawMessage
		for word := range strings.FieldsSeq(given) {
			items = append(items, json.RawMessage(word))
		}
		var parts []string
		for _, batch := range batches(items, 3, 8) {
			var words []string
			for _, item := range batch {
				words = append(words, string(item))
			}
			parts = append(parts, strings.Join(words, " "))
		}
		if got := strings.Join(parts, "|"); got != want {
			t.Errorf("%q is %q, want %q", given, got, want)
		}
	}
}
