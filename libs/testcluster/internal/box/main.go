// Command box is what containers run in the tests of testcluster.
//
//	box                     wait for a signal
//	box speak               copy standard input to standard output, say "to stderr" on the other, exit with 37
//	box write FILE TEXT     write a file
//	box serve TEXT          answer every HTTP request on port 8080
//	box get URL             print what a URL answers
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		<-ctx.Done()
		return nil
	}
	switch args[0] {
	case "speak":
		_, err := io.Copy(os.Stdout, os.Stdin)
		fmt.Fprint(os.Stderr, "to stderr")
		if err == nil {
			os.Exit(37)
		}
		return err
	case "write":
		return os.WriteFile(args[1], []byte(args[2]), 0o644)
	case "serve":
		server := &http.Server{Addr: ":8080", ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, args[1]) // the client sees what is missing
		})}
		return server.ListenAndServe()
	case "get":
		return get(ctx, args[1])
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // a test says which URL
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Do(request) //nolint:gosec // a test says which URL
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // only read
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
