package up

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// maxLog is how long the log of $RDEV_HOME gets, in bytes, before it begins
// again; the one before it is kept.
const maxLog = 32 << 20

// OpenLog writes what happens to w, for people, from a level on, and all of it to
// rdev.log in home, as JSON lines with times in UTC. The caller closes it.
func OpenLog(home string, w io.Writer, level slog.Level) (*slog.Logger, io.Closer, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, nil, fmt.Errorf("RDEV_HOME: %w", err)
	}
	file := &logFile{path: filepath.Join(home, "rdev.log"), max: maxLog}
	if err := file.open(); err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}),
		slog.NewJSONHandler(file, &slog.HandlerOptions{ReplaceAttr: inUTC}),
	)), file, nil
}

func inUTC(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

// logFile is a file that begins again when it is full.
type logFile struct {
	path string
	max  int64
	mu   sync.Mutex
	file *os.File
	size int64
}

func (f *logFile) open() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	f.file, f.size = file, info.Size()
	return nil
}

// Write writes a line.
func (f *logFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.size+int64(len(line)) > f.max {
		if err := f.begin(); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	return n, err
}

// begin begins a new file.
func (f *logFile) begin() error {
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("close the log: %w", err)
	}
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		return fmt.Errorf("keep the log: %w", err)
	}
	return f.open()
}

// Close closes the file.
func (f *logFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
