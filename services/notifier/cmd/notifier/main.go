// Command notifier runs the notifier service.
package main

import (
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/notifier"
)

func main() {
	service.MainWithDatabase(contract.ServiceNotifier, notifier.Run, notifier.Migrate)
}
