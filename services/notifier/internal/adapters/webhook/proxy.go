package webhook

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// proxy dials through an HTTP proxy. It is given addresses, not names, so that the
// proxy looks up nothing; TLS with the endpoint goes through it unread.
type proxy struct {
	url  *url.URL // http or https, with a user and password where it wants them
	dial dialFunc
	tls  *tls.Config // for an https proxy
}

// newProxy is a proxy at url, as http://proxy:3128.
func newProxy(url *url.URL, config *tls.Config) *proxy {
	config = config.Clone()
	config.ServerName = url.Hostname()
	return &proxy{url: url, dial: new(net.Dialer).DialContext, tls: config}
}

// DialContext has the proxy connect to address.
func (p *proxy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	port := p.url.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.url.Scheme]
	}
	conn, err := p.dial(ctx, network, net.JoinHostPort(p.url.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	// The handshakes end with ctx, and not the connection.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	tunnel, err := p.tunnel(conn, address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy: %w", err), conn.Close())
	}
	return tunnel, nil
}

// tunnel makes a connection to the proxy one to address.
func (p *proxy) tunnel(conn net.Conn, address string) (net.Conn, error) {
	if p.url.Scheme == "https" {
		conn = tls.Client(conn, p.tls)
	}
	connect := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address,
		Header: http.Header{"User-Agent": {userAgent}},
	}
	if user := p.url.User; user != nil {
		password, _ := user.Password()
		connect.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := connect.Write(conn); err != nil {
		return nil, fmt.Errorf("ask for %s: %w", address, err)
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	response, err := http.ReadResponse(answer, connect)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("ask for %s: answered %d", address, response.StatusCode)
	}
	if answer.Buffered() > 0 {
		return nil, fmt.Errorf("ask for %s: answered more than its head", address) // an endpoint never speaks first
	}
	return conn, nil
}
