//go:build cluster

package kube_test

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// cutter stands between a client and the API server, and cuts each connection
// after a random number of bytes, whatever they are: a handshake, a request, or
// the middle of a frame.
type cutter struct {
	target   *rest.Config
	upstream string
	listener net.Listener
	most     int64 // bytes until a cut
	cutting  atomic.Bool
	cuts     atomic.Int64
}

func newCutter(t *testing.T, target *rest.Config, most int64) *cutter {
	t.Helper()
	parsed, err := url.Parse(target.Host)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{target: target, upstream: parsed.Host, listener: listener, most: most}
	t.Cleanup(func() { _ = listener.Close() })
	go c.serve()
	return c
}

// config is that of a client which goes through the cutter.
func (c *cutter) config() *rest.Config {
	config := rest.CopyConfig(c.target)
	upstream, _, _ := net.SplitHostPort(c.upstream)
	config.Host, config.ServerName = "https://"+c.listener.Addr().String(), upstream
	return config
}

// begin cuts connections that are made from now on.
func (c *cutter) begin() { c.cutting.Store(true) }

func (c *cutter) serve() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		go c.carry(client)
	}
}

func (c *cutter) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.upstream)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	ended := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(server, client)
		ended <- struct{}{}
	}()
	go func() {
		if !c.cutting.Load() {
			_, _ = io.Copy(client, server)
		} else if _, err := io.CopyN(client, server, rand.Int64N(c.most)); err == nil {
			c.cuts.Add(1)
		}
		ended <- struct{}{}
	}()
	<-ended
}
