package render

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxHeld is how much of a line may wait for its end, in bytes.
const maxHeld = 64 << 10

// Prefixed is a writer of whole lines, each with a prefix: what has no end yet waits
// until it has, or for Flush.
type Prefixed struct {
	Out    io.Writer // is given whole lines
	Prefix string
	// Screen is true where a terminal reads the lines: they must not move its cursor.
	Screen bool
	// Color lets them keep their colors there.
	Color bool

	held []byte
}

// Write implements io.Writer.
func (p *Prefixed) Write(data []byte) (int, error) {
	p.held = append(p.held, data...)
	end := bytes.LastIndexByte(p.held, '\n') + 1
	if end == 0 && len(p.held) < maxHeld {
		return len(data), nil
	}
	if end == 0 {
		return len(data), p.Flush()
	}
	whole := p.held[:end]
	err := p.lines(whole)
	p.held = append(p.held[:0], p.held[end:]...)
	return len(data), err
}

// Flush writes the line that has no end, as if it had one.
func (p *Prefixed) Flush() error {
	if len(p.held) == 0 {
		return nil
	}
	whole := append(p.held, '\n')
	p.held = nil
	return p.lines(whole)
}

func (p *Prefixed) lines(whole []byte) error {
	var out bytes.Buffer
	for line := range bytes.Lines(whole) {
		out.WriteString(p.Prefix)
		if p.Screen {
			out.WriteString(p.screen(string(line[:len(line)-1])))
			line = []byte("\n")
		}
		out.Write(line)
	}
	_, err := p.Out.Write(out.Bytes())
	return err
}

// screen is a line as a terminal may be given it, in place of what had been drawn where
// it stands: what a carriage return has overwritten is gone, and of all that a terminal
// acts upon only colors are left.
func (p *Prefixed) screen(line string) string {
	line = strings.TrimRight(line, "\r")
	line = line[strings.LastIndexByte(line, '\r')+1:]
	var out strings.Builder
	colored := false
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			sequence := escape(line[i:])
			if p.Color && colors(sequence) {
				out.WriteString(sequence)
				colored = true
			}
			i += len(sequence)
			continue
		}
		r, size := utf8.DecodeRuneInString(line[i:])
		if r == '\t' || !hidden(r) && (r != unicode.ReplacementChar || size > 1) {
			out.WriteString(line[i : i+size])
		}
		i += size
	}
	if colored {
		out.WriteString("\x1b[0m")
	}
	return out.String()
}

// escape is the sequence that a text begins with.
func escape(text string) string {
	if len(text) < 2 {
		return text
	}
	switch text[1] {
	case '[': // up to the first letter
		for i := 2; i < len(text); i++ {
			if text[i] >= 0x40 && text[i] <= 0x7e {
				return text[:i+1]
			}
			if text[i] < 0x20 || text[i] > 0x7e {
				return text[:i]
			}
		}
		return text
	case ']', 'P', '^', '_', 'X': // up to a bell or ESC \
		for i := 2; i < len(text); i++ {
			if text[i] == '\a' {
				return text[:i+1]
			}
			if text[i] == '\x1b' && i+1 < len(text) && text[i+1] == '\\' {
				return text[:i+2]
			}
		}
		return text
	}
	i := 1
	for i < len(text)-1 && text[i] >= 0x20 && text[i] <= 0x2f { // up to what these go before
		i++
	}
	return text[:i+1]
}

// colors tells whether a sequence does nothing but set colors, and how letters look.
func colors(sequence string) bool {
	rest, found := strings.CutPrefix(sequence, "\x1b[")
	rest, ends := strings.CutSuffix(rest, "m")
	return found && ends && strings.Trim(rest, "0123456789;:") == ""
}
