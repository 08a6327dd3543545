package embedded

import (
	"fmt"
	"log/slog"
	"sync"
)

// logger passes what the server says on. Its own would end the process on a
// fatal message, as on a port that is taken.
type logger struct {
	log     *slog.Logger
	mu      sync.Mutex
	problem string
}

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("nats server", "message", fmt.Sprintf(format, v...))
}

func (l *logger) Warnf(format string, v ...any) {
	l.log.Warn("nats server", "message", fmt.Sprintf(format, v...))
}

func (l *logger) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func (l *logger) Errorf(format string, v ...any) {
	message := fmt.Sprintf(format, v...)
	l.mu.Lock()
	l.problem = message
	l.mu.Unlock()
	l.log.Error("nats server", "error", message)
}

func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}

func (l *logger) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problem
}
