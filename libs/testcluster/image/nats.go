package image

import (
	"context"
	"path/filepath"
)

// natsServer is the package of the NATS server's program.
const natsServer = "github.com/nats-io/nats-server/v2"

// NATS makes an image with the NATS server of the version that this repository's
// libs have, on the PATH as in the public image.
func NATS(ctx context.Context, o Options) (Image, error) {
	o, err := o.complete()
	if err != nil {
		return Image{}, err
	}
	s := o.store()
	program, err := s.build(ctx, filepath.Join(o.Root, "libs"), natsServer, "nats-server", "usr/local/bin/nats-server")
	if err != nil {
		return Image{}, err
	}
	run := process{Entrypoint: []string{"nats-server"}, Env: []string{"PATH=/usr/local/bin"}}
	return s.archive(ctx, Repository+"/nats:dev", run, []layer{program})
}
