package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// routesName cannot be a slug.
	routesName = ".routes"
	// maxHost is how long a name of DNS may be, in bytes.
	maxHost = 253
)

// hostPattern is a name below localhost, which is this machine wherever it is asked for.
var hostPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+localhost$`)

// hostIn is the host that the header Host of a request names, without port and in lower
// case. ok is false where that is no name below localhost.
func hostIn(header string) (host string, ok bool) {
	host, port, _ := strings.Cut(header, ":")
	host = strings.TrimSuffix(strings.Map(lower, host), ".")
	return host, len(host) <= maxHost && hostPattern.MatchString(host) && strings.Trim(port, "0123456789") == ""
}

// lower is the lower case of a letter of a host; another letter is none of a host's.
func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// projectAt is the project that a host leads to, "" where that is none. The link of a
// project that is gone is none.
func (d directory) projectAt(host string) (slug string, err error) {
	link, err := d.root.Readlink(filepath.Join(routesName, host))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("route of %s: %w", host, err)
	}
	slug = path.Base(link)
	there, err := d.there(slug)
	if err != nil || !there {
		return "", err
	}
	return slug, nil
}

// lead has a host lead to a project, unless it leads to another one.
func (d directory) lead(host, slug string) error {
	return d.locked(func() error {
		has, err := d.projectAt(host)
		if err != nil || has == slug {
			return err
		}
		if has != "" {
			return taken(host, has)
		}
		if err := makeDir(d.root, routesName); err != nil {
			return err
		}
		name := filepath.Join(routesName, host)
		if err := ignoreMissing(d.root.Remove(name)); err != nil { // that of a project that is gone
			return err
		}
		return d.root.Symlink(path.Join("..", slug), name)
	})
}

// forgetHost has a host no longer lead to a project.
func (d directory) forgetHost(host, slug string) error {
	return d.locked(func() error { return d.unlink(host, slug) })
}

// forgetHosts has none lead to a project any more.
func (d directory) forgetHosts(slug string) error {
	return d.locked(func() error {
		entries, err := fs.ReadDir(d.root.FS(), routesName)
		if err := ignoreMissing(err); err != nil {
			return err
		}
		for _, entry := range entries {
			if err := d.unlink(entry.Name(), slug); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d directory) unlink(host, slug string) error {
	name := filepath.Join(routesName, host)
	link, err := d.root.Readlink(name)
	if err != nil || path.Base(link) != slug {
		return ignoreMissing(err)
	}
	return ignoreMissing(d.root.Remove(name))
}

func taken(host, slug string) error {
	return userError("the host %s leads to the project %s: remove it there, or take another", host, slug)
}
