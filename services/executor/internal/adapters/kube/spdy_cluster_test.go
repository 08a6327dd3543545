//go:build cluster

package kube_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// webSocketsAreRefused by something on the way: then a run goes over SPDY.
func (w *world) webSocketsAreRefused(t *testing.T) {
	config := w.cluster.Config()
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrades
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	var refused, upgraded atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		switch upgrade := r.Header.Get("Upgrade"); {
		case strings.EqualFold(upgrade, "websocket"):
			refused.Add(1)
			http.Error(answer, "no websockets here", http.StatusBadRequest)
			return
		case strings.HasPrefix(strings.ToLower(upgrade), "spdy"):
			upgraded.Add(1)
		}
		proxy.ServeHTTP(answer, r)
	}))
	t.Cleanup(server.Close)
	runtime, project := w.runtime(t, &rest.Config{Host: server.URL, QPS: -1}), w.project(t)
	spec := script(project, `head -c 3000000 /dev/zero; exit 9`)
	if err := runtime.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	var out collect
	exit, err := runtime.Attach(t.Context(), spec.RunRef, 0, out.emit)
	if err != nil || exit.Code != 9 || out.output.Len() != 3_000_000 {
		t.Errorf("%d bytes, exit %+v, %v", out.output.Len(), exit, err)
	}
	if refused.Load() == 0 || upgraded.Load() == 0 {
		t.Errorf("%d websockets were refused, %d connections were SPDY", refused.Load(), upgraded.Load())
	}
}
