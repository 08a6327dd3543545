package domain_test

import (
	"testing"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

func TestALaneHoldsItsOperationsOneAfterAnotherInTheOrderOfTheLog(t *testing.T) {
	q := domain.NewQueue[string]()
	want := func(id string) {
		t.Helper()
		if got, _ := q.Due("shop"); got != id {
			t.Fatalf("due %q, want %q", got, id)
		}
	}
	if !q.Apply("shop", "a", domain.Waiting) {
		t.Error("the first operation changes what is due")
	}
	if q.Apply("shop", "b", domain.Waiting) {
		t.Error("the second changes nothing")
	}
	q.Apply("shop", "c", domain.Waiting)
	want("a")
	q.Apply("shop", "a", domain.Underway)
	want("a")
	q.Apply("shop", "b", domain.Over) // cancelled while it waits
	want("a")
	if !q.Apply("shop", "a", domain.Over) {
		t.Error("the end of the first makes the next due")
	}
	want("c")
	q.Apply("shop", "c", domain.Over)
	if _, ok := q.Due("shop"); ok {
		t.Error("an empty lane is due nothing")
	}
	for lane := range q.Lanes() {
		t.Errorf("lane %s is left", lane)
	}
}

// FuzzQueue checks the order against a model: a lane is due what is under way,
// else the oldest that waits.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0x40, 0x80, 0x41, 0x81})
	f.Fuzz(func(t *testing.T, events []byte) {
		q := domain.NewQueue[byte]()
		order := map[byte][]string{}
		underway := map[byte]string{}
		for _, e := range events {
			lane, id := e&1, string(rune('a'+e>>1&7))
			if underway[lane] == id && domain.Standing(e>>6%3) == domain.Waiting {
				continue // nothing goes back
			}
			standing := domain.Standing(e >> 6 % 3)
			if standing == domain.Underway && underway[lane] != "" && underway[lane] != id {
				continue // the lane lets nobody else run
			}
			q.Apply(lane, id, standing)
			var rest []string
			for _, other := range order[lane] {
				if other != id {
					rest = append(rest, other)
				} else if standing == domain.Waiting {
					rest = append(rest, id)
				}
			}
			waits := false
			for _, other := range rest {
				waits = waits || other == id
			}
			if standing == domain.Waiting && !waits {
				rest = append(rest, id)
			}
			order[lane] = rest
			if standing == domain.Underway {
				underway[lane] = id
			} else if underway[lane] == id {
				underway[lane] = ""
			}
			want := underway[lane]
			if want == "" && len(rest) > 0 {
				want = rest[0]
			}
			if got, _ := q.Due(lane); got != want {
				t.Fatalf("due %q, want %q", got, want)
			}
			if got, all := q.WaitingFor(lane), len(order[0])+len(order[1]); got != len(rest) || q.Waiting() != all {
				t.Fatalf("%d wait for the lane, %d in all; want %d, %d", got, q.Waiting(), len(rest), all)
			}
		}
	})
}
