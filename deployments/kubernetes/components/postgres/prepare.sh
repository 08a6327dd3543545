#!/bin/sh
# Makes the cluster of databases where there is none, and each time gives the roles
# the passwords of the Secret.
set -eu
umask 077

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	rm -rf "$PGDATA" "$PGDATA.new" # of an attempt that was cut short
	initdb --pgdata "$PGDATA.new" --username postgres --encoding UTF8 --locale C.UTF-8 \
		--auth-local peer --auth-host scram-sha-256 --data-checksums
	mv "$PGDATA.new" "$PGDATA"
fi
chmod 0700 "$PGDATA" # a volume that changed hands may have other rights

pg_ctl start --pgdata "$PGDATA" --wait --timeout 600 \
	--options "-c config_file=/etc/postgresql/postgresql.conf -c listen_addresses="
psql --host /run/postgresql --username postgres --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
	--file /etc/postgresql/roles.sql postgres
pg_ctl stop --pgdata "$PGDATA" --wait --mode fast
