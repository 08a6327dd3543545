// Command gateway runs the gateway service.
package main

import (
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/gateway"
)

func main() { service.Main("gateway", gateway.Run) }
