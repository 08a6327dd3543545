package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestListenSendsEachEventOnceOverACutOfTheGateway(t *testing.T) {
	gateway := gatewaytest.New("shop")
	defer gateway.Close()
	verifier, err := standardwebhooks.NewWebhook("whsec_c2VjcmV0")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Error(err)
		}
		got = append(got, r.Header.Get("Rdev-Prev-Seq")+"→"+r.Header.Get("Rdev-Seq"))
	}))
	defer receiver.Close()

	api, err := client.New(client.Config{URL: gateway.Server.URL, Key: gatewaytest.Key})
	if err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		if _, err := api.Run(t.Context(), "shop", client.Command{Kind: "shell", Shell: &contract.Shell{Argv: []string{"echo"}}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	streams := func(n int) {
		t.Helper()
		testkit.Eventually(t, func() error {
			open := 0
			for _, request := range gateway.Requests() {
				if request.Method == gatewaytest.Streaming {
					open++
				}
			}
			if open < n {
				return fmt.Errorf("%d streams, want %d", open, n)
			}
			return nil
		})
	}
	var out, notes strings.Builder
	var listening sync.WaitGroup
	listening.Go(func() {
		code := execute(t.Context(), []string{
			"webhooks", "listen", "--url", gateway.Server.URL, "--key", gatewaytest.Key, "--forward", receiver.URL,
			"--secret", "whsec_c2VjcmV0", "--from-seq", "1", "--count", "6",
		}, strings.NewReader(""), &out, &notes)
		if code != 0 {
			t.Errorf("exit code %d: %s", code, notes.String())
		}
	})
	streams(1)
	run()
	gateway.Server.CloseClientConnections()
	streams(2)
	run()
	listening.Wait()
	if diff := cmp.Diff([]string{"0→1", "1→2", "2→3", "3→4", "4→5", "5→6"}, got); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(out.String(), "\n"); n != 6 {
		t.Errorf("%d lines, want 6:\n%s", n, out.String())
	}
}
