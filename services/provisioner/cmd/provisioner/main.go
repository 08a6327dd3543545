// Command provisioner runs the provisioner service.
package main

import (
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/provisioner"
)

func main() {
	service.MainWithDatabase(contract.ServiceProvisioner, provisioner.Run, provisioner.Migrate)
}
