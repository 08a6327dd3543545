package audit

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

// collectTimeout bounds what one scrape of the metrics waits for.
const collectTimeout = 5 * time.Second

// progress tells how far the projection is. It asks when it is scraped, so every
// process tells the same, whichever projects.
type progress struct {
	app *app.App
	log *slog.Logger
}

// Describe implements prometheus.Collector.
func (p progress) Describe(ch chan<- *prometheus.Desc) {
	ch <- p.position()
	ch <- p.lag()
}

// Collect implements prometheus.Collector. What cannot be had is left out.
func (p progress) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	at, err := p.app.GetProjectionPosition(ctx, contract.GetProjectionPosition{})
	if err != nil {
		p.log.Warn("no metrics of the projection", "error", err)
		return
	}
	ch <- prometheus.MustNewConstMetric(p.position(), prometheus.GaugeValue, float64(at.ProjectedSeq))
	_, last, err := p.app.Log.Bounds(ctx)
	if err != nil {
		p.log.Warn("no metrics of the event log", "error", err)
		return
	}
	lag := float64(last) - float64(at.ProjectedSeq)
	ch <- prometheus.MustNewConstMetric(p.lag(), prometheus.GaugeValue, max(0, lag))
}

func (progress) position() *prometheus.Desc {
	return prometheus.NewDesc("rdev_audit_projection_position", "Sequence of the last event that the tables hold.", nil, nil)
}

func (progress) lag() *prometheus.Desc {
	return prometheus.NewDesc("rdev_audit_projection_lag_events", "Events that the log holds and the tables do not.", nil, nil)
}
