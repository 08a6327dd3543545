package main

import (
	"math"
	"slices"
	"time"
)

// percentile of values that need not be sorted; NaN of none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

func median(values []float64) float64 {
	if n := len(values); n > 0 && n%2 == 0 {
		sorted := slices.Sorted(slices.Values(values))
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return percentile(values, 0.5)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// series is one figure over the repetitions.
type series struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"`
}

// mark compares rdev with a raw limit or with what was promised.
type mark struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	// Most is what the value may be, 0 where nothing was promised.
	Most float64 `json:"most,omitempty"`
	// Least is what it has to be, 0 where nothing was promised.
	Least float64 `json:"least,omitempty"`
}

func (m mark) reached() bool {
	if m.Least > 0 {
		return m.Value >= m.Least
	}
	return m.Value <= m.Most
}

// result is what one metric found.
type result struct {
	Metric  string   `json:"metric"`
	What    string   `json:"what"`
	Series  []series `json:"series"`
	Marks   []mark   `json:"marks"`
	Notes   []string `json:"notes,omitempty"`
	Load    string   `json:"load"` // average at the start → at the end
	Seconds float64  `json:"seconds"`
}

// add notes a value of one repetition.
func (r *result) add(name, unit string, value float64) {
	for i := range r.Series {
		if r.Series[i].Name == name {
			r.Series[i].Values = append(r.Series[i].Values, value)
			return
		}
	}
	r.Series = append(r.Series, series{Name: name, Unit: unit, Values: []float64{value}})
}

// of is the median of a series.
func (r *result) of(name string) float64 {
	for _, s := range r.Series {
		if s.Name == name {
			return median(s.Values)
		}
	}
	return math.NaN()
}

func (r *result) mark(name, unit string, value, most float64) {
	r.Marks = append(r.Marks, mark{Name: name, Unit: unit, Value: value, Most: most})
}

func (r *result) markLeast(name, unit string, value, least float64) {
	r.Marks = append(r.Marks, mark{Name: name, Unit: unit, Value: value, Least: least})
}
