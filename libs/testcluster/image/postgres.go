package image

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

// Postgres makes an image with this machine's Debian's PostgreSQL. As in the public
// image its programs are on the PATH, and the user postgres is 999; other than
// there, nothing is done at the start but what the container's command says.
func Postgres(ctx context.Context, o Options) (Image, error) {
	o, err := o.complete()
	if err != nil {
		return Image{}, err
	}
	s := o.store()
	base, err := s.debian(ctx, []string{"postgresql", "libc-bin", "coreutils", "dash"})
	if err != nil {
		return Image{}, err
	}
	programs, err := s.layer(ctx, "user and programs of PostgreSQL", "postgres v2", postgresUserAndPrograms)
	if err != nil {
		return Image{}, err
	}
	run := process{User: "999:999", Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}}
	return s.archive(ctx, Repository+"/postgres:dev", run, []layer{base, programs})
}

// postgresUserAndPrograms finds the programs where Debian has them, in a directory
// for each version, of which there is one.
func postgresUserAndPrograms(_ context.Context, t *tree) error {
	t.dir("tmp", fs.ModeSticky|0o777, 0)
	err := errors.Join(
		t.file("etc/passwd", 0o644, strings.NewReader("root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/:/bin/sh\n")),
		t.file("etc/group", 0o644, strings.NewReader("root:x:0:\npostgres:x:999:\n")),
	)
	for _, program := range []string{"initdb", "postgres", "pg_ctl", "pg_isready", "psql"} {
		script := "#!/bin/sh\nexec /usr/lib/postgresql/*/bin/" + program + " \"$@\"\n"
		err = errors.Join(err, t.file("usr/local/bin/"+program, 0o755, strings.NewReader(script)))
	}
	return err
}
