package components

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/orchard9/rdev/libs/cache"
	"github.com/orchard9/rdev/libs/debian"
)

// wanted are the Debian packages of what is not Kubernetes.
func wanted() []string {
	return []string{"etcd-server", "containerd", "runc", "containernetworking-plugins", "nftables"}
}

// libraries are what the wanted packages need beyond what every Debian has.
func libraries() []string {
	return []string{"libnftables1", "libnftnl11", "libmnl0", "libjansson4", "libedit2", "libbsd0", "libmd0", "libxtables12", "libgmp10"}
}

// machine finds what is not Kubernetes on this machine, or fetches all of it
// into the cache: a mixture of the two has been seen to fail, as containerd
// works with its own shim only.
func (c *Components) machine(ctx context.Context, dir string, log *slog.Logger) error {
	missing := c.find("/")
	if len(missing) == 0 {
		return nil
	}
	release, err := debian.Name()
	if err != nil {
		return fmt.Errorf("the test cluster lacks %s: install %s (Debian's names) and start again: %w",
			strings.Join(missing, ", "), strings.Join(wanted(), " "), err)
	}
	root := filepath.Join(dir, release)
	err = cache.Fill(ctx, root, func(partial string) error {
		log.InfoContext(ctx, "fetching Debian packages, once", "packages", strings.Join(wanted(), " "), "into", root)
		return debian.Unpack(ctx, partial, append(wanted(), libraries()...)...)
	})
	if err != nil {
		return fmt.Errorf("fetch %s (or apt-get install --no-install-recommends %s): %w",
			strings.Join(missing, ", "), strings.Join(wanted(), " "), err)
	}
	if missing = c.find(root); len(missing) > 0 {
		return fmt.Errorf("the packages in %s lack %s", root, strings.Join(missing, ", "))
	}
	return nil
}

// find looks for all programs below root, and returns the names of those that
// are not there.
func (c *Components) find(root string) (missing []string) {
	programs := []struct {
		name, path string
		found      *string
	}{
		{"etcd", "usr/bin/etcd", &c.Etcd},
		{"containerd", "usr/bin/containerd", &c.Containerd},
		{"containerd-shim-runc-v2", "usr/bin/containerd-shim-runc-v2", new(string)},
		{"ctr", "usr/bin/ctr", &c.Ctr},
		{"runc", "usr/sbin/runc", &c.Runc},
		{"nft", "usr/sbin/nft", &c.Nft},
		{"ptp, a CNI plugin", "usr/lib/cni/ptp", new(string)},
	}
	for _, p := range programs {
		*p.found = filepath.Join(root, p.path)
		if !cache.Exists(*p.found) {
			missing = append(missing, p.name)
		}
	}
	c.CNI = filepath.Join(root, "usr/lib/cni")
	var libraries bool
	c.Env, libraries = debian.Env(root)
	if root == "/" {
		c.Env = c.Env[:1] // the machine's programs find their own
	} else if !libraries {
		missing = append(missing, "libraries")
	}
	return missing
}
