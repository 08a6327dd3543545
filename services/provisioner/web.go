package provisioner

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/orchard9/rdev/libs/service"
)

// serveWeb serves repositories and the routes of local projects until ctx is done.
func (f Far) serveWeb(ctx context.Context, around func(http.Handler) http.Handler) error {
	switch {
	case around != nil && f.Web != nil:
		f.Web(around)
	case around != nil && f.WebAddr != "":
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.WebAddr)
		if err != nil {
			return fmt.Errorf("PROVISIONER_WEB_ADDR: %w", err)
		}
		return service.Serve(ctx, listener, around(http.NotFoundHandler()))
	}
	<-ctx.Done()
	return nil
}
