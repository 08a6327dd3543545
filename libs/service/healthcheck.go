package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// timeoutHealthcheck bounds the command healthcheck, below the timeout of the
// HEALTHCHECK that calls it.
const timeoutHealthcheck = 3 * time.Second

// askHealth asks the service that listens on addr on this machine whether it
// lives.
func askHealth(ctx context.Context, addr string) error {
	target, err := reachable(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeoutHealthcheck)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/health", http.NoBody)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	// A transport of its own: no proxy of the environment answers for the service.
	client := &http.Client{Timeout: timeoutHealthcheck, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, response.Body) // only the status counts
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", request.URL, response.Status)
	}
	return nil
}

// reachable is where to call what listens on addr: every address of a machine
// includes its loopback.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	ip := net.ParseIP(host)
	switch {
	case host == "" || ip != nil && ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip != nil && ip.Equal(net.IPv6zero):
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
