// Command coredns is CoreDNS with the plugins that the test cluster needs and no
// others: the cluster's names from the API server, and a plain no to all else.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() { coremain.Run() }
