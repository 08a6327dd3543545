package webhook

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// benchmarkServer answers as an endpoint does.
func benchmarkServer(b *testing.B) *httptest.Server {
	b.Helper()
	return serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
}

// benchmarkBody has the size of an operation.
func benchmarkBody() []byte { return bytes.Repeat([]byte(`{"a":"0123456789"}`), 100) }

func BenchmarkPost(b *testing.B) {
	server := benchmarkServer(b)
	s := newSender(b, loopback())
	request := Request{
		URL: server.URL, Secrets: []string{"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}, ID: "0193f2a4-7c1e-7d3a-9a44-5f0c2b7e8d12", Body: benchmarkBody(),
		Event: http.Header{
			"Ce-Specversion": {"1.0"}, "Ce-Type": {"ai.orchard9.rdev.operation.completed.v1"}, "Ce-Source": {"/rdev/executor"}, "Ce-Id": {"0193f2a4"},
			"Ce-Time": {"2026-03-01T12:00:00Z"}, "Rdev-Seq": {"7"}, "Rdev-Project": {"shop"},
		},
		PrevSeq: "6",
	}
	b.ReportAllocs()
	for b.Loop() {
		if outcome := s.Post(b.Context(), request); outcome.Err != nil {
			b.Fatal(outcome.Err)
		}
	}
}

// BenchmarkBarePost is the measure of BenchmarkPost: the same body, by a bare client.
func BenchmarkBarePost(b *testing.B) {
	server := benchmarkServer(b)
	body := benchmarkBody()
	b.ReportAllocs()
	for b.Loop() {
		response, err := server.Client().Post(server.URL, "application/json", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		if err := response.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
