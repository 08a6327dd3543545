package client_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
	"github.com/orchard9/rdev/libs/contract"
)

func TestAKeyIsMadeOnceHoweverOftenItIsAsked(t *testing.T) {
	gateway, c := start(t)
	gateway.Fail(gatewaytest.Fault{Status: http.StatusServiceUnavailable}, gatewaytest.Fault{}, gatewaytest.Fault{Late: true})
	key, err := c.CreateKey(t.Context(), client.NewKey{Name: "ci", Scopes: []string{"commands:run"}})
	if err != nil {
		t.Fatal(err)
	}
	if key.Name != "ci" || key.Secret != "" {
		t.Errorf("it is %+v: the secret was in the answer that was lost", key)
	}
	again, err := c.RotateKey(t.Context(), key.ID, time.Hour)
	if err != nil || again.Secret == "" || again.OldPrefix != key.Prefix || again.OldUntil == nil {
		t.Errorf("it is %+v, %v", again, err)
	}
	keys, err := c.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, key := range keys {
		names = append(names, key.Name)
	}
	if want := []string{"ci", "first"}; !slices.Equal(names, want) {
		t.Errorf("there are %v, want %v", names, want)
	}
}

func TestCredentialsAreListedThroughAllPages(t *testing.T) {
	gateway, c := start(t, "shop")
	var want []string
	for _, name := range []string{"A", "B", "C"} {
		gateway.Fail(gatewaytest.Fault{Late: true})
		if err := c.SetCredential(t.Context(), contract.PutCredential{Name: name, Project: "shop", Value: "of " + name}); err != nil {
			t.Fatal(err)
		}
		if value, _ := gateway.Credential("shop", name); value != "of "+name {
			t.Errorf("%s is %q", name, value)
		}
		want = append(want, name)
	}
	credentials, err := c.Credentials(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, credential := range credentials {
		names = append(names, credential.Name)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if others, err := c.Credentials(t.Context(), ""); err != nil || len(others) != 0 {
		t.Errorf("the installation has %v, %v", others, err)
	}
}
