package up

import (
	"cmp"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner"
)

// web is what the provisioner serves on the address of the API: the repositories of
// projects, and what their programs answer.
type web struct {
	provisioner atomic.Pointer[func(other http.Handler) http.Handler]
}

// set has the provisioner's part be served from now on.
func (w *web) set(around func(other http.Handler) http.Handler) { w.provisioner.Store(&around) }

// around serves the provisioner's part, once it is there, and the API.
func (w *web) around(api http.Handler) http.Handler {
	var both atomic.Pointer[http.Handler]
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handler := both.Load()
		if around := w.provisioner.Load(); handler == nil && around != nil {
			made := (*around)(api)
			handler = &made
			both.CompareAndSwap(nil, handler)
		}
		if handler == nil {
			handler = &api
		}
		(*handler).ServeHTTP(rw, r)
	})
}

// far is the systems in which projects have something, with those of this machine where
// the configuration names none. The pods of a cluster do not reach these.
func (cfg Config) far(home home, database *postgres, redis *caches, address net.Addr, beside *web) provisioner.Far {
	far := cfg.Far
	far.DatabaseURL = cmp.Or(far.DatabaseURL, database.forProjects())
	if cfg.Runtime == contract.RuntimeKube {
		return far
	}
	far.RedisURL = cmp.Or(far.RedisURL, redis.url())
	far.Web = beside.set
	if tcp, ok := address.(*net.TCPAddr); ok {
		far.WebPort = tcp.Port
	}
	if far.Gitea.URL == "" && far.Repositories == "" {
		far.Repositories, far.RepositoriesURL = home.path("repositories"), "http://"+address.String()+"/git"
	}
	return far
}
