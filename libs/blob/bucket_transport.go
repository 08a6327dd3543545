package blob

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// transport gives up on a server that is silent for as long as patience.
func transport(patience time.Duration) http.RoundTripper {
	dialer := net.Dialer{Timeout: patience}
	return thorough{&http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return impatient{conn, patience}, nil
		},
		TLSHandshakeTimeout: patience, ResponseHeaderTimeout: patience,
		IdleConnTimeout:     patience / 2, // before an idle one is taken for silent
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true, // a file is what it is
	}}
}

// impatient is a connection over which something has to go all the while that
// something is waited for.
type impatient struct {
	net.Conn
	patience time.Duration
}

func (c impatient) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c impatient) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// thorough ends a request with all of its parts: the client rewinds a body that it
// sends again, which an http.Transport may read until that is closed.
type thorough struct{ http.RoundTripper }

func (t thorough) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.RoundTripper.RoundTrip(r)
	}
	request := &requestBody{ReadCloser: r.Body, closed: make(chan struct{})}
	r = r.WithContext(r.Context()) // a copy
	r.Body, r.GetBody = request, nil
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		<-request.closed
		return nil, err
	}
	response.Body = &responseBody{response.Body, request}
	return response, nil
}

// requestBody tells when it is closed.
type requestBody struct {
	io.ReadCloser
	once   sync.Once
	closed chan struct{}
}

func (b *requestBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() { close(b.closed) })
	return err
}

// responseBody is closed when that of its request is, too, which follows: a connection
// on which something is still sent is not used again.
type responseBody struct {
	io.ReadCloser
	request *requestBody
}

func (b *responseBody) Close() error {
	err := b.ReadCloser.Close()
	<-b.request.closed
	return err
}
