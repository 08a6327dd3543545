package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// The path of a unix socket has at most 107 bytes on Linux and 103 on macOS.
const maxSocketPath = 103

// socketPort is part of the socket's name; nothing listens on it.
const socketPort = 5432

// address is where the server listens: a unix socket in a private directory, or
// a port of the loopback interface if there is no such directory.
type address struct {
	socketDir string
	port      int
}

// newAddress prefers a socket beside the data, then one in the directory for
// temporary files, then a free port.
func newAddress(dir string, as account) (address, error) {
	sum := sha256.Sum256([]byte(dir))
	for _, candidate := range []string{
		filepath.Join(dir, "run"),
		filepath.Join(os.TempDir(), "rdev-"+hex.EncodeToString(sum[:6])),
	} {
		if len(filepath.Join(candidate, ".s.PGSQL."+strconv.Itoa(socketPort)+".lock")) > maxSocketPath {
			continue
		}
		// Made anew, so that it is ours and nobody else's; we hold the lock on dir.
		if os.RemoveAll(candidate) == nil && os.Mkdir(candidate, 0o700) == nil && as.own(candidate) == nil {
			return address{socketDir: candidate, port: socketPort}, nil
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return address{}, err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return address{}, err
	}
	number, err := strconv.Atoi(port)
	return address{port: number}, err
}

func (a address) arguments() []string {
	if a.socketDir == "" {
		return []string{"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", strconv.Itoa(a.port)}
	}
	return []string{"-c", "listen_addresses=", "-c", "unix_socket_directories=" + a.socketDir, "-p", strconv.Itoa(a.port)}
}

func (a address) url(password string) url.URL {
	result := url.URL{Scheme: "postgres", User: url.UserPassword(Superuser, password), Path: "/" + DefaultDatabase}
	if a.socketDir == "" {
		result.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(a.port))
		result.RawQuery = "sslmode=disable"
		return result
	}
	result.RawQuery = url.Values{"host": {a.socketDir}, "port": {strconv.Itoa(a.port)}, "sslmode": {"disable"}}.Encode()
	return result
}

func (a address) remove() error {
	if a.socketDir == "" {
		return nil
	}
	return os.RemoveAll(a.socketDir)
}
