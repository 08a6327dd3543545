package bus

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestHeadsAreRememberedForThoseWhoAskForTheSameAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var read headsRead
		read.keep("a", 7, heads{upTo: 9})
		read.keep("b", 8, heads{upTo: 9, last: []entry{{Seq: 9, Data: make([]byte, maxRemembered+1)}}})
		if found, ok := read.of("a", 7); !ok || found.upTo != 9 {
			t.Errorf("%+v, %t", found, ok)
		}
		slots := uint64(len(read.slots))
		for key, after := range map[string]uint64{"a": 7 + slots, "b": 8, "c": 7} {
			if found, ok := read.of(key, after); ok {
				t.Errorf("%s after %d: %+v", key, after, found)
			}
		}
		read.keep("c", 7+slots, heads{upTo: 1000})
		if _, ok := read.of("a", 7); ok {
			t.Error("two are in one place")
		}
		time.Sleep(remembered)
		if _, ok := read.of("c", 7+slots); ok {
			t.Error("it is remembered for too long")
		}
	})
}
