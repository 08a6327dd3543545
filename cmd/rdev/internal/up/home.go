package up

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway"
)

// home is $RDEV_HOME.
//
//	api-key         the first key, 0600
//	files/          what builds leave and find, unless RDEV_FILES says where
//	key-pepper      under which API keys are hashed, 0600
//	master-key      of the vault: what it encrypted is lost without it, 0600
//	nats-password   of the user rdev, 0600
//	ready.json      while everything is up
//	rdev.log        what happened, JSON lines; rdev.log.1 before that
//	nats/           streams
//	postgres/       cluster, log
//	workers/        files of the work that is under way
//	workspaces/     projects
type home struct{ dir string }

func (h home) path(name string) string { return filepath.Join(h.dir, name) }

func (h home) make() error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return fmt.Errorf("RDEV_HOME: %w", err)
	}
	return nil
}

// firstKey sees to it that there is a key in the file api-key. It returns one that
// it made, or "": the installation has it, and so has the file.
func (h home) firstKey(ctx context.Context, cfg gateway.Config, log *slog.Logger) (made string, err error) {
	_, err = os.Stat(h.path("api-key"))
	lost := errors.Is(err, fs.ErrNotExist)
	if err != nil && !lost {
		return "", fmt.Errorf("read api-key: %w", err)
	}
	// Whoever can remove the file owns all that the key is for.
	made, err = gateway.Bootstrap(ctx, cfg, lost, log)
	if problem, ok := errors.AsType[*contract.Error](err); ok && problem.Code == contract.CodeConflict {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("make the first API key: %w", err)
	}
	return made, h.write("api-key", []byte(made+"\n"))
}

// secret reads a file that only its owner can read, or makes it.
func (h home) secret(name string) (string, error) {
	text, err := os.ReadFile(h.path(name))
	if err == nil {
		if secret := strings.TrimSpace(string(text)); secret != "" {
			return secret, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	secret := hex.EncodeToString(random)
	return secret, h.write(name, []byte(secret+"\n"))
}

// masterKey is the path of the vault's master keys, made with one where there is
// none. Further ones are lines that people add.
func (h home) masterKey() (path string, err error) {
	const name = "master-key"
	_, err = os.Stat(h.path(name))
	if !errors.Is(err, fs.ErrNotExist) {
		return h.path(name), err
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return h.path(name), h.write(name, []byte(base64.StdEncoding.EncodeToString(random)+"\n"))
}

// files is where builds keep files: in a directory of the home, unless the settings
// say where.
func (h home) files(settings blob.Settings) (blob.Settings, error) {
	if settings.URL != "" {
		return settings, nil
	}
	path, err := filepath.Abs(h.path("files"))
	if err != nil {
		return settings, fmt.Errorf("RDEV_HOME: %w", err)
	}
	settings.URL = (&url.URL{Scheme: "file", Path: path}).String()
	return settings, nil
}

// write replaces a file in one step, so that nobody reads half of it, not even
// after a power failure.
func (h home) write(name string, text []byte) error {
	next := h.path(name + ".new")
	file, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(next, h.path(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (h home) announce(r Ready) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("ready.json: %w", err)
	}
	return h.write("ready.json", append(text, '\n'))
}

// forget removes what an rdev left that is not up any more.
func (h home) forget() error {
	if err := os.Remove(h.path("ready.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove ready.json: %w", err)
	}
	return nil
}
