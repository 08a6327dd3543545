// Command executor runs the executor service.
package main

import (
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/executor"
)

func main() { service.Main("executor", executor.Run) }
