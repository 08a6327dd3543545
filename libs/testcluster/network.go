package testcluster

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// The network of the cluster: a veth pair between the machine and the node, and
// ranges that nothing else is likely to use, which the machine reaches through it.
const (
	HostIP = "10.231.0.1" // this machine, as pods see it
	nodeIP = "10.231.0.2"

	clusterRange = "10.231.0.0/16" // all of it
	podRange     = "10.231.128.0/20"
	serviceRange = "10.231.64.0/20"
	apiServiceIP = "10.231.64.1"
	dnsServiceIP = "10.231.64.10"

	apiPort = "6443"
	apiURL  = "https://" + nodeIP + ":" + apiPort

	nodeName   = "node1"
	hostDevice = "rdevtest0"
)

// connect joins the machine to the network namespace of a process.
func connect(pid int) error {
	if err := disconnect(); err != nil {
		return err
	}
	pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	pair.Name = hostDevice
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	machine := &netlink.Handle{}
	host, err := up(machine, hostDevice, HostIP+"/30")
	if err != nil {
		return err
	}
	_, all, err := net.ParseCIDR(clusterRange)
	if err != nil {
		return err
	}
	if err := machine.RouteAdd(&netlink.Route{LinkIndex: host.Attrs().Index, Dst: all, Gw: net.ParseIP(nodeIP)}); err != nil {
		return fmt.Errorf("route to the pods: %w", err)
	}
	return connectNode(pid)
}

// connectNode configures the other end. Its default route is what the API server
// and the kubelet ask for; the machine forwards nothing.
func connectNode(pid int) error {
	namespace, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("find the node's network: %w", err)
	}
	defer func() { _ = namespace.Close() }() // it lives as long as the node
	node, err := netlink.NewHandleAt(namespace)
	if err != nil {
		return fmt.Errorf("enter the node's network: %w", err)
	}
	defer node.Close()
	if _, err := up(node, "lo", ""); err != nil {
		return err
	}
	eth, err := up(node, "eth0", nodeIP+"/30")
	if err != nil {
		return err
	}
	if err := node.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.ParseIP(HostIP)}); err != nil {
		return fmt.Errorf("give the node a default route: %w", err)
	}
	return nil
}

// up gives a device an address, unless that is empty, and sets it up.
func up(in *netlink.Handle, name, address string) (netlink.Link, error) {
	link, err := in.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	if address != "" {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return nil, err
		}
		if err := in.AddrAdd(link, parsed); err != nil {
			return nil, fmt.Errorf("give %s its address: %w", name, err)
		}
	}
	if err := in.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("set %s up: %w", name, err)
	}
	return link, nil
}

// disconnect removes the veth pair, also that of a cluster that was killed.
func disconnect() error {
	link, err := netlink.LinkByName(hostDevice)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", hostDevice, err)
	}
	return nil
}
