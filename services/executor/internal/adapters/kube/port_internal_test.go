package kube

import (
	"slices"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func TestAProgramOfAProjectIsToldThePortOfPods(t *testing.T) {
	if got := portOf(domain.RunRef{Project: "shop"}); !slices.Equal(got, []string{"PORT=8080"}) {
		t.Errorf("a command is told %q", got)
	}
	if got := portOf(domain.RunRef{Project: "shop", Worker: "w", Fresh: true}); got != nil {
		t.Errorf("work is told %q", got)
	}
}
