package bus_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// lines splits what a NATS server sends into its messages.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) lines { return lines{bufio.NewReader(r)} }

// next is one message, with its payload: (H)MSG subject sid [reply] [header] size.
func (l lines) next() ([]byte, error) {
	line, err := l.r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	fields := bytes.Fields(line)
	if len(fields) == 0 || string(fields[0]) != "MSG" && string(fields[0]) != "HMSG" {
		return line, nil
	}
	size, err := strconv.Atoi(string(fields[len(fields)-1]))
	if err != nil {
		return nil, fmt.Errorf("size of %q: %w", line, err)
	}
	payload := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(l.r, payload); err != nil {
		return nil, err
	}
	return append(line, payload...), nil
}
