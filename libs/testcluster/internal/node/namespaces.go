package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

// prepare makes the mount namespace private and fit for a node: a /proc of this
// PID namespace, and nothing of the machine's where the components write to
// paths that cannot be configured.
func prepare(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, path := range hidden() {
		if strings.HasPrefix(dir, path+"/") {
			return fmt.Errorf("the cache may not lie in %s, which the cluster hides: set XDG_CACHE_HOME", path)
		}
		if err := unix.Mount("tmpfs", path, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("hide %s: %w", path, err)
		}
	}
	for _, d := range []string{filepath.Join(dir, protocol.Logs), "/run/netns"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("forward between pods: %w", err)
	}
	return pretendSysctls(filepath.Join(dir, "sysctl"))
}

// hidden are directories of the machine under an empty one of the cluster's.
func hidden() []string { return []string{"/run", "/var/lib", "/var/log"} }

// pretendSysctls puts files over the settings that the kubelet changes and that
// no namespace confines. It reads back what it wrote, and the machine keeps
// what it had.
func pretendSysctls(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		path := filepath.Join("/proc/sys", name)
		value, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a sysctl: %w", err)
		}
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, value, 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover the sysctl %s: %w", name, err)
		}
	}
	return nil
}
