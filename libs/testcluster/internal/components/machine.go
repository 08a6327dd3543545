package components

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/orchard9/rdev/libs/testcluster/internal/cache"
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
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("the test cluster lacks %s: install %s (Debian's names) and start again",
			strings.Join(missing, ", "), strings.Join(wanted(), " "))
	}
	release, err := os.ReadFile("/etc/debian_version")
	if err != nil {
		return fmt.Errorf("find out which Debian this is: %w", err)
	}
	major, _, _ := strings.Cut(strings.TrimSpace(string(release)), ".")
	root := filepath.Join(dir, "debian-"+strings.ReplaceAll(major, "/", "-")+"-"+runtime.GOARCH)
	err = cache.Fill(ctx, root, func(partial string) error {
		log.InfoContext(ctx, "fetching Debian packages, once", "packages", strings.Join(wanted(), " "), "into", root)
		return fetch(ctx, partial)
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
	c.Env = []string{"PATH=" + strings.Join([]string{
		filepath.Join(root, "usr/bin"), filepath.Join(root, "usr/sbin"), "/usr/sbin", "/usr/bin", "/sbin", "/bin",
	}, ":")}
	if root == "/" {
		return missing
	}
	libraries, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if err != nil || len(libraries) == 0 {
		return append(missing, "libraries")
	}
	c.Env = append(c.Env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	return missing
}

// fetch unpacks the packages into root. apt gets lists of its own, so that it
// neither needs nor changes those of the machine.
func fetch(ctx context.Context, root string) (err error) {
	work := root + ".download"
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(filepath.Join(work, "lists/partial"), 0o755)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	apt := []string{
		"-q", "-o", "Dir::State::Lists=" + work + "/lists", "-o", "Dir::Cache=" + work, "-o", "APT::Sandbox::User=root",
	}
	if _, err := run(ctx, work, nil, "apt-get", append(apt, "update")...); err != nil {
		return err
	}
	download := append(apt, "download")
	download = append(append(download, wanted()...), libraries()...)
	if _, err := run(ctx, work, nil, "apt-get", download...); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, p := range packages {
		if _, err := run(ctx, work, nil, "dpkg-deb", "-x", p, root); err != nil {
			return err
		}
	}
	return nil
}
