// Command box is what containers run in the tests of testcluster.
//
//	box                     wait for a signal
//	box speak               copy standard input to standard output, say "to stderr" on the other, exit with 37
//	box write FILE TEXT     write a file
//	box serve TEXT          answer every HTTP request on the ports 8080 and 8081
//	box get URL             print what a URL answers
//	box resolve NAME        print the addresses of a name, one a line, within five seconds
//	box reach ADDRESS...    print which of the addresses (host:port) accept a TCP connection within a second, one a line
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
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
		return serve(args[1])
	case "get":
		return get(ctx, args[1])
	case "resolve":
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		addresses, err := net.DefaultResolver.LookupHost(ctx, args[1])
		fmt.Fprintln(os.Stdout, strings.Join(addresses, "\n"))
		return err
	case "reach":
		reach(ctx, args[1:])
		return nil
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func serve(text string) error {
	failed := make(chan error, 2)
	for _, address := range []string{":8080", ":8081"} {
		server := &http.Server{Addr: address, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, text) // the client sees what is missing
		})}
		go func() { failed <- server.ListenAndServe() }()
	}
	return <-failed
}

// reach tries all addresses at the same time, so that those that are closed cost
// a second together.
func reach(ctx context.Context, addresses []string) {
	open := make([]bool, len(addresses))
	var tries sync.WaitGroup
	for i, address := range addresses {
		tries.Go(func() {
			connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
			if err == nil {
				open[i] = true
				_ = connection.Close() // it was all about opening it
			}
		})
	}
	tries.Wait()
	for i, address := range addresses {
		if open[i] {
			fmt.Fprintln(os.Stdout, address)
		}
	}
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
