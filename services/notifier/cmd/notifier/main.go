// Command notifier runs the notifier service.
package main

import (
	"runtime/debug"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/notifier"
)

// gcPercent is how much garbage there may be for what is in use, unless GOGC says
// otherwise. What is in use is a few MiB, and by Go's own measure of 100 an eighth of
// the time went into looking through it.
const gcPercent = 300

func main() {
	if before := debug.SetGCPercent(gcPercent); before != 100 {
		debug.SetGCPercent(before)
	}
	service.MainWithDatabase(contract.ServiceNotifier, notifier.Run, notifier.Migrate)
}
