package local

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// The ports of projects are from firstPort to lastPort: below those that systems give to
// whoever asks for any.
const (
	firstPort = 20000
	lastPort  = 29999
)

const (
	// portName is where a project's port is noted, as a number and a newline.
	portName = "port"
	// newPortName is a note that is not finished.
	newPortName = ".port"
)

// errNoPort is returned where a project has no port, or what is noted is none.
var errNoPort = errors.New("it has no port")

// portOf reads the port of a project.
func (d directory) portOf(slug string) (int, error) {
	data, err := d.root.ReadFile(filepath.Join(slug, portName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errNoPort
	}
	if err != nil {
		return 0, fmt.Errorf("port of %s: %w", slug, err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || port < firstPort || port > lastPort {
		return 0, errNoPort
	}
	return port, nil
}

// givePort gives a project a port that no other has, or finds the one that it has. The
// note in its directory is all that there is of it: with the directory the port is free.
func (d directory) givePort(slug string) error {
	return d.locked(func() error {
		taken, err := d.taken(slug)
		if err != nil {
			return err
		}
		port, err := d.portOf(slug)
		if err == nil && !taken[port] || err != nil && !errors.Is(err, errNoPort) {
			return err
		}
		if port = choose(slug, taken, isFree); port == 0 {
			return userError("all ports from %d to %d are taken: remove projects that are not needed", firstPort, lastPort)
		}
		return d.notePort(slug, port)
	})
}

// taken are the ports of other projects.
func (d directory) taken(slug string) (map[int]bool, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	taken := map[int]bool{}
	for _, entry := range entries {
		if !entry.IsDir() || entry.Name() == slug || !domain.ValidSlug(entry.Name()) {
			continue
		}
		port, err := d.portOf(entry.Name())
		if err != nil && !errors.Is(err, errNoPort) {
			return nil, err
		}
		taken[port] = true
	}
	return taken, nil
}

// choose is a port for a project: mostly the same one each time, and 0 where none is left.
func choose(slug string, taken map[int]bool, isFree func(port int) bool) int {
	const ports = lastPort - firstPort + 1
	sum := fnv.New32a()
	sum.Write([]byte(slug))
	begin := int(sum.Sum32() % ports)
	for i := range ports {
		port := firstPort + (begin+i)%ports
		if !taken[port] && isFree(port) {
			return port
		}
	}
	return 0
}

// isFree tells whether nobody on this machine listens on a port, who is no project.
func isFree(port int) bool {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err == nil {
		_ = listener.Close() // nobody has connected
	}
	return !errors.Is(err, syscall.EADDRINUSE)
}

// notePort notes a port at once and for good, or not at all.
func (d directory) notePort(slug string, port int) error {
	unfinished := filepath.Join(slug, newPortName)
	file, err := d.root.OpenFile(unfinished, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("note the port of %s: %w", slug, err)
	}
	_, err = file.WriteString(strconv.Itoa(port) + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = d.root.Rename(unfinished, filepath.Join(slug, portName))
	}
	if err != nil {
		return fmt.Errorf("note the port of %s: %w", slug, err)
	}
	return nil
}

func userError(format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(contract.ClassUser, format, args...)}
}
