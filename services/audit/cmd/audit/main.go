// Command audit runs the audit service.
package main

import (
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/audit"
)

func main() {
	service.MainWithDatabase(contract.ServiceAudit, audit.Run, audit.Migrate)
}
