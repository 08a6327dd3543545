//go:build cluster

package image_test

import (
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testcluster/image"
)

func TestPostgreSQLWorksInItsImage(t *testing.T) {
	made, err := image.Postgres(t.Context(), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d MB", made.Name, size(t, made.Archive)>>20)
	const script = `set -e
cd /tmp
initdb --pgdata /tmp/data --username postgres --encoding UTF8 --locale C.UTF-8 >/tmp/initdb.log 2>&1
pg_ctl start --pgdata /tmp/data --wait --log /tmp/log --options "-c listen_addresses= -c unix_socket_directories=/tmp" >/dev/null
pg_isready --host /tmp --quiet
psql --host /tmp --username postgres --no-psqlrc --tuples-only --no-align --command "select 'ä', 6 * 7"
pg_ctl stop --pgdata /tmp/data --wait --mode fast >/dev/null`
	root := unpack(t, made.Archive)
	run(t, "sed", "-i", "s/999/1000/g", root+"/etc/passwd") // the user of inside
	out, err := inside(t, root, "/bin/sh", "-c", "export PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8; "+script)
	if err != nil || strings.TrimSpace(out) != "ä|42" {
		t.Errorf("it says %q, %v", out, err)
	}
}

func TestTheNATSServerOfTheLibsIsInItsImage(t *testing.T) {
	made, err := image.NATS(t.Context(), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := inside(t, unpack(t, made.Archive), "/usr/local/bin/nats-server", "--version")
	if err != nil || !strings.HasPrefix(out, "nats-server: v2.") {
		t.Errorf("it says %q, %v", out, err)
	}
}
