// Command gateway runs the gateway service.
package main

import (
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/gateway"
)

func main() {
	service.MainWithDatabase(contract.ServiceGateway, gateway.Run, gateway.Migrate, service.Command[gateway.Config]{
		Name: "bootstrap", About: "make the first API key, which may do everything, and print its secret", Run: gateway.PrintFirstKey,
	})
}
