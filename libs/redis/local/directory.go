package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// directory is where a server keeps what it has to.
type directory string

func (d directory) users() string { return filepath.Join(string(d), "users.acl") }

// kept reads a file of one line, or makes it.
func (d directory) kept(name string, value func() (string, error)) (string, error) {
	path := filepath.Join(string(d), name)
	text, err := os.ReadFile(path)
	if err == nil {
		if kept := strings.TrimSpace(string(text)); kept != "" {
			return kept, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	made, err := value()
	if err != nil {
		return "", err
	}
	return made, os.WriteFile(path, []byte(made+"\n"), 0o600)
}

func (d directory) password() (string, error) {
	return d.kept("password", func() (string, error) { return rand.Text(), nil })
}

// port is the one of the first start: projects know it. It is below those that the kernel
// gives to clients, so that it is still free when the server comes back to it.
func (d directory) port(ctx context.Context) (string, error) {
	port, err := d.kept("port", func() (string, error) {
		for range 1000 {
			port := strconv.Itoa(20_000 + mathrand.IntN(12_000))
			if l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+port); err == nil {
				return port, l.Close()
			}
		}
		return "", errors.New("no port is free")
	})
	if err != nil {
		return "", err
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", fmt.Errorf("the file %s has no port: %q", filepath.Join(string(d), "port"), port)
	}
	return port, nil
}

// writeUsers makes the file of users, in which all but the first two lines is what the
// server wrote. Nobody but its administrator gets in without being one of them.
func (d directory) writeUsers(password string) error {
	text, err := os.ReadFile(d.users())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sum := sha256.Sum256([]byte(password))
	var lines strings.Builder
	lines.WriteString("user default off\nuser " + Admin + " on #" + hex.EncodeToString(sum[:]) + " ~* &* +@all\n")
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "user default ") && !strings.HasPrefix(line, "user "+Admin+" ") {
			lines.WriteString(line)
		}
	}
	fresh := d.users() + ".new"
	if err := os.WriteFile(fresh, []byte(lines.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, d.users())
}
