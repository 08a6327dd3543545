package render

import (
	"fmt"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Webhook is how an endpoint does in a word: ok, failing, paused, or disabled where
// rdev disabled it.
func (s Style) Webhook(w contract.Webhook) string {
	switch {
	case w.Enabled && w.Health.Failures == 0:
		return s.Good("ok")
	case w.Enabled:
		return s.Warn("failing")
	case w.DisabledReason != "":
		return s.Bad("disabled")
	}
	return s.Dim("paused")
}

// Delivery colors the status of a delivery.
func (s Style) Delivery(status contract.DeliveryStatus) string {
	text := Line(string(status))
	switch status {
	case contract.DeliveryDelivered:
		return s.Good(text)
	case contract.DeliveryDead:
		return s.Bad(text)
	case contract.DeliveryPending:
		return s.Warn(text)
	}
	return s.Plain(text)
}

// Attempt is what came of one request to an endpoint, on one line: the status of the
// answer, the time that it took, and what was wrong.
func Attempt(a contract.DeliveryAttempt) string {
	text := "no answer"
	if a.StatusCode != 0 {
		text = strconv.Itoa(a.StatusCode)
	}
	text += " in " + millis(a.DurationMS)
	if wrong := wrongWith(a); wrong != "" {
		text += ": " + wrong
	}
	return text
}

// Forwarded is a line about an event that was sent somewhere: sequence, type, status
// of the answer, time that it took, what was wrong.
func (s Style) Forwarded(d contract.Delivery, a contract.DeliveryAttempt) string {
	paint, status := s.Bad, "-"
	if a.StatusCode != 0 {
		status = strconv.Itoa(a.StatusCode)
	}
	if a.Error == "" {
		paint = s.Good
	}
	line := fmt.Sprintf("%s  %-28s  %s  %6s", s.Dim(fmt.Sprintf("%8d", d.Seq)), Line(d.Type), paint(fmt.Sprintf("%3s", status)), millis(a.DurationMS))
	if wrong := wrongWith(a); wrong != "" {
		line += "  " + s.Dim(wrong)
	}
	return line
}

// wrongWith is why an attempt failed and what the endpoint said to it, "" where it did not.
func wrongWith(a contract.DeliveryAttempt) string {
	wrong := Cut(Line(a.Error), 200)
	if said := Cut(Line(a.Response), 200); said != "" {
		wrong = join(wrong, said)
	}
	return wrong
}

// millis is a time that a request takes: 12ms, 1.2s.
func millis(ms int64) string {
	if ms < 1000 {
		return fmt.Sprintf("%dms", ms)
	}
	return (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond).String()
}
