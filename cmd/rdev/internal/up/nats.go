package up

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/access"
	"github.com/orchard9/rdev/libs/bus/embedded"
)

// natsServer is the server with the keys of its users, which live as long as this
// process: a service may do here what it may in any installation, and no more.
type natsServer struct {
	*embedded.Server

	keys map[string]nats.Option // by service: how it proves who it is
}

// startNATS starts the server. Its store's lock is what keeps a second rdev off
// the home. A password keeps out what runs on this machine, as an agent does.
func startNATS(cfg Config, home home, log *slog.Logger) (*natsServer, error) {
	host, portText, err := net.SplitHostPort(cfg.NATSAddr)
	port, portErr := strconv.Atoi(portText)
	if err := errors.Join(err, portErr); err != nil {
		return nil, fmt.Errorf("RDEV_NATS_ADDR: %w", err)
	}
	password, err := home.secret("nats-password")
	if err != nil {
		return nil, err
	}
	n := &natsServer{keys: map[string]nats.Option{}}
	users, err := n.users()
	if err != nil {
		return nil, fmt.Errorf("make the users of NATS: %w", err)
	}
	n.Server, err = embedded.Start(embedded.Options{
		Dir: home.path("nats"), Host: host, Port: port, User: "rdev", Password: password, Users: users,
		Unsynced: cfg.Unsynced, Log: log.With("service", "nats"),
	})
	if errors.Is(err, embedded.ErrLocked) {
		return nil, fmt.Errorf("%w on %s: use it, stop it, or set another RDEV_HOME", ErrRunning, home.dir)
	}
	return n, err
}

// users are the services and the one that migrates. The operator is who has the password.
func (n *natsServer) users() (all []embedded.User, err error) {
	for _, u := range access.Users() {
		if u.Name == access.Operator {
			continue
		}
		pair, err := nkeys.CreateUser()
		if err != nil {
			return nil, err
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, err
		}
		n.keys[u.Name] = nats.Nkey(public, pair.Sign)
		all = append(all, embedded.User{User: u, PublicKey: public})
	}
	return all, nil
}

// asOperator is how to reach the server, without the network, with all rights.
func (n *natsServer) asOperator() bus.Settings {
	return bus.Settings{URL: n.URL(), More: []nats.Option{nats.InProcessServer(n.Server.Server)}}
}

// as is how a service reaches the server without the network.
func (n *natsServer) as(service string) bus.Settings {
	return bus.Settings{URL: "nats://" + n.Addr().String(), More: []nats.Option{
		nats.InProcessServer(n.Server.Server), n.keys[service],
	}}
}
