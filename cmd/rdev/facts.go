package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// facts are written a fact to a line, with their names in a column.
type facts struct{ *tabwriter.Writer }

func newFacts(out io.Writer) facts { return facts{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

// row writes a fact, or nothing where its value is "".
func (f facts) row(name, value string) {
	if value != "" {
		fmt.Fprintf(f, "%s\t%s\n", name, value)
	}
}
