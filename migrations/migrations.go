// Package migrations embeds the SQL files of every service. They only ever go
// forward, and one that has landed is never modified.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed */*.sql
var files embed.FS

// For returns the migrations of a service, named NNNN_what.sql.
func For(service string) (fs.FS, error) { return fs.Sub(files, service) }
