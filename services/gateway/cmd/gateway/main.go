// Command gateway runs the gateway service.
package main

import (
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/gateway"
)

func main() {
	service.MainWithDatabase(contract.ServiceGateway, gateway.Run, gateway.Migrate,
		service.NewCommand("bootstrap", "make the first API key, which may do everything, and print its secret", gateway.PrintFirstKey),
		service.NewCommand("streams", "make the streams and consumers of NATS or bring them up to date, and end", gateway.MigrateStreams),
	)
}
