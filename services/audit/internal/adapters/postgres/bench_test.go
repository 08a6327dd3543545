package postgres_test

import "testing"

// BenchmarkProjectionRebuild folds 100,000 events into an empty schema, in
// batches as large as the service's: run it with -benchtime 1x.
func BenchmarkProjectionRebuild(b *testing.B) {
	h := newHistory(b, 1)
	h.lives(33_334)
	view := open(b)
	b.ResetTimer()
	for b.Loop() {
		if _, err := view.Reset(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		h.project(view, 5000)
	}
	b.ReportMetric(float64(b.N*len(h.events))/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkProjectionOfSingleEvents shows what one event costs when it is alone.
func BenchmarkProjectionOfSingleEvents(b *testing.B) {
	h := newHistory(b, 1)
	h.lives(334)
	view := open(b)
	b.ResetTimer()
	for b.Loop() {
		if _, err := view.Reset(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		h.project(view, 1)
	}
	b.ReportMetric(float64(b.N*len(h.events))/b.Elapsed().Seconds(), "events/s")
}
