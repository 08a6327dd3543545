// Command attach is a plugin of the container network interface, the last of a
// chain: before any container of a pod starts, it has the enforcer of network
// policies take the pod's address into account. What it is asked is in the
// environment and on standard input, as the specification has it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"strings"

	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

// config is the plugin's part of the network's configuration.
type config struct {
	CNIVersion string          `json:"cniVersion"`
	Socket     string          `json:"socket"` // of the enforcer
	PrevResult json.RawMessage `json:"prevResult"`
}

func main() {
	answer, err := run(environment())
	if err != nil {
		answer = map[string]any{"cniVersion": "1.0.0", "code": 100, "msg": err.Error()}
	}
	if answer != nil {
		err = errors.Join(err, json.NewEncoder(os.Stdout).Encode(answer))
	}
	if err != nil {
		os.Exit(1)
	}
}

// environment is the environment as a map.
func environment() map[string]string {
	all := map[string]string{}
	for _, line := range os.Environ() {
		name, value, _ := strings.Cut(line, "=")
		all[name] = value
	}
	return all
}

func run(env map[string]string) (any, error) {
	var c config
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	switch command := env["CNI_COMMAND"]; command {
	case "VERSION":
		return map[string]any{"cniVersion": "1.0.0", "supportedVersions": []string{"0.4.0", "1.0.0"}}, nil
	case "CHECK":
		return nil, nil
	case "ADD":
		return c.PrevResult, c.call("Policies.Attach", env["CNI_ARGS"])
	case "DEL":
		// What is removed has to go, also where nobody hears of it.
		_ = c.call("Policies.Detach", env["CNI_ARGS"])
		return nil, nil
	default:
		return nil, fmt.Errorf("there is no command %q", command)
	}
}

func (c config) call(method, args string) error {
	pod, err := c.attachment(args)
	if err != nil {
		return err
	}
	client, err := rpc.Dial("unix", c.Socket)
	if err != nil {
		return fmt.Errorf("reach the enforcer of network policies: %w", err)
	}
	defer func() { _ = client.Close() }() // the process ends anyway
	if err := client.Call(method, pod, nil); err != nil {
		return fmt.Errorf("enforce the policies of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// attachment is the pod that the arguments name, with the address that the
// plugin before gave it. A removal may know of none.
func (c config) attachment(args string) (protocol.Attachment, error) {
	named := map[string]string{}
	for arg := range strings.SplitSeq(args, ";") {
		name, value, _ := strings.Cut(arg, "=")
		named[name] = value
	}
	pod := protocol.Attachment{Namespace: named["K8S_POD_NAMESPACE"], Name: named["K8S_POD_NAME"], UID: named["K8S_POD_UID"]}
	if pod.UID == "" {
		return pod, fmt.Errorf("there is no UID of a pod in the arguments %q", args)
	}
	if c.PrevResult == nil {
		return pod, nil
	}
	var result struct {
		IPs []struct{ Address string } `json:"ips"`
	}
	if err := json.Unmarshal(c.PrevResult, &result); err != nil {
		return pod, fmt.Errorf("read what the plugin before gave: %w", err)
	}
	if len(result.IPs) != 1 {
		return pod, fmt.Errorf("the plugin before gave %d addresses", len(result.IPs))
	}
	address, _, err := net.ParseCIDR(result.IPs[0].Address)
	pod.Address = address.String()
	return pod, err
}
