package bus_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a client and a NATS server and swallows replies.
type proxy struct {
	listener  net.Listener
	target    string
	swallowed atomic.Int32

	mu    sync.Mutex
	what  []byte // in a reply
	left  int    // how many more are swallowed
	conns []net.Conn
	wg    sync.WaitGroup
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target}
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close() // the test sees that nothing works
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			p.wg.Go(func() { _, _ = io.Copy(server, client) })
			p.wg.Go(func() { p.replies(client, server) })
		}
	})
	t.Cleanup(func() {
		errs := []error{l.Close()}
		p.mu.Lock()
		for _, c := range p.conns {
			errs = append(errs, c.Close())
		}
		p.mu.Unlock()
		p.wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

// swallow has the next n messages of the server which contain what disappear.
func (p *proxy) swallow(what string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.left = []byte(what), n
}

// replies passes on what the server says, message by message.
func (p *proxy) replies(client, server net.Conn) {
	r := newLines(server)
	for {
		message, err := r.next()
		if err != nil {
			return
		}
		p.mu.Lock()
		gone := p.left > 0 && bytes.Contains(message, p.what)
		if gone {
			p.left--
			p.swallowed.Add(1)
		}
		p.mu.Unlock()
		if gone {
			continue
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}
