package domain_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

func TestStartableIsWhatMoreSlotsWouldBeDueToHold(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 5))
		limits := domain.WorkLimits{}
		if seed%3 > 0 {
			limits.PerProject = 1 + r.IntN(4)
		}
		if seed%3 != 1 {
			limits.PerKind = map[string]int{"deploy": 1 + r.IntN(3)}
		}
		s := domain.NewSchedule(limits)
		for n := range r.IntN(4) {
			s.Open(fmt.Sprint("s", n))
		}
		for n := range r.IntN(20) {
			id := fmt.Sprint(n)
			s.Wait(domain.Item{ID: id, Project: fmt.Sprint("p", r.IntN(4)), Kind: []string{"build", "deploy", "test"}[r.IntN(3)], Priority: domain.Priority(r.IntN(3) - 1)}, epoch)
			switch r.IntN(5) {
			case 0:
				s.Run(id, fmt.Sprint("s", r.IntN(4)))
			case 1:
				s.End(id)
			}
		}
		startable, more := s.Startable(), 0
		for n := range 40 {
			slot := fmt.Sprint("more", n)
			s.Open(slot)
			if _, _, holds := s.Due(slot); holds {
				more++
			}
		}
		if more > startable || more < startable && seed%3 != 2 {
			t.Errorf("seed %d: %d slots more are due to hold something, of %d that were to be", seed, more, startable)
		}
		if left := s.Startable(); left != 0 && seed%3 != 2 {
			t.Errorf("seed %d: %d are left", seed, left)
		}
	}
}
