// Command rdev is the command line of rdev: it runs work in projects, follows
// and cancels it, and starts the whole system on one machine.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
