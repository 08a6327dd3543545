package image

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// machineTrust is the layer with this machine's certificate authorities.
func (s store) machineTrust(ctx context.Context) (layer, error) {
	bundle, err := os.ReadFile("/" + bundlePath)
	if err != nil {
		return layer{}, fmt.Errorf("read this machine's certificate authorities (apt-get install ca-certificates): %w", err)
	}
	return s.layer(ctx, "certificate authorities", "trust v1 "+string(bundle), func(_ context.Context, t *tree) error {
		return t.file(bundlePath, 0o644, bytes.NewReader(bundle))
	})
}

// user is who a claudebox runs as: its user and group ID.
const user = 1000

// userAndWorkspace is what a claudebox has beside its packages.
func userAndWorkspace(_ context.Context, t *tree) error {
	for _, f := range []struct{ name, content string }{
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nrdev:x:1000:1000::/workspace:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"},
		{"etc/group", "root:x:0:\nrdev:x:1000:\nnogroup:x:65534:\n"},
		{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
	} {
		if err := t.file(f.name, 0o644, strings.NewReader(f.content)); err != nil {
			return err
		}
	}
	t.dir("workspace", 0o755, user)
	t.dir("tmp", fs.ModeSticky|0o777, 0)
	t.dir("var/tmp", fs.ModeSticky|0o777, 0)
	return nil
}
