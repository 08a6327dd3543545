package vault_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/box"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/executor/internal/adapters/vault"
)

var running = contract.Operation{ID: "op-1", Attempt: 2}

// open asks a provisioner that answers as it is told; nil stands for none at all.
func open(t *testing.T, answer func(contract.OpenCredentials) (contract.SealedCredentials, error)) (map[string]string, error) {
	t.Helper()
	url := testkit.NATS(t).URL()
	if answer != nil {
		conn := testkit.Connect(t, url, contract.ServiceProvisioner)
		requests, err := conn.Serve(testkit.Log(t))
		if err == nil {
			err = bus.Answer(requests, contract.VerbOpenCredentials, func(_ context.Context, ask contract.OpenCredentials) (contract.SealedCredentials, error) {
				return answer(ask)
			})
		}
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			err = conn.Ready(ctx) // the server knows who answers
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	v, err := vault.New(testkit.Connect(t, url, contract.ServiceExecutor))
	if err != nil {
		t.Fatal(err)
	}
	return v.Open(t.Context(), running)
}

func seal(t *testing.T, text string, key []byte) contract.SealedCredentials {
	t.Helper()
	sealed, err := box.SealAnonymous(nil, []byte(text), (*[32]byte)(key), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	return contract.SealedCredentials{Box: sealed}
}

func TestTheVaultSealsToTheKeyOfThisProcess(t *testing.T) {
	var asked contract.OpenCredentials
	got, err := open(t, func(ask contract.OpenCredentials) (contract.SealedCredentials, error) {
		asked = ask
		return seal(t, `{"A":"one","B":"two\nlines"}`, ask.PublicKey), nil
	})
	if want := map[string]string{"A": "one", "B": "two\nlines"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if asked.Operation != running.ID || asked.Attempt != running.Attempt {
		t.Errorf("asked %+v", asked)
	}
}

func TestWhatIsNotSealedToThisProcessIsNoSecret(t *testing.T) {
	for name, answer := range map[string]func(contract.OpenCredentials) (contract.SealedCredentials, error){
		"to another key": func(contract.OpenCredentials) (contract.SealedCredentials, error) {
			other, _, err := box.GenerateKey(rand.Reader)
			return seal(t, `{"A":"one"}`, other[:]), err
		},
		"not at all": func(contract.OpenCredentials) (contract.SealedCredentials, error) {
			return contract.SealedCredentials{Box: []byte(`{"A":"one"}`)}, nil
		},
		"no JSON": func(ask contract.OpenCredentials) (contract.SealedCredentials, error) {
			return seal(t, "one", ask.PublicKey), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, answer)
			if err == nil || got != nil || strings.Contains(err.Error(), "one") {
				t.Errorf("%v, %v; want an error that tells nothing", got, err)
			}
		})
	}
}

func TestWhatTheVaultRefusesIsTold(t *testing.T) {
	for code, answer := range map[contract.Code]func(contract.OpenCredentials) (contract.SealedCredentials, error){
		contract.CodeUnavailable: nil, // nobody answers
		contract.CodeNotFound: func(contract.OpenCredentials) (contract.SealedCredentials, error) {
			return contract.SealedCredentials{}, &contract.Error{Code: contract.CodeNotFound, Detail: "no A"}
		},
	} {
		_, err := open(t, answer)
		if known, ok := errors.AsType[*contract.Error](err); !ok || known.Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
}
