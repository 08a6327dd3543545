// Command notifier runs the notifier service.
package main

import (
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/notifier"
)

func main() { service.Main("notifier", notifier.Run) }
