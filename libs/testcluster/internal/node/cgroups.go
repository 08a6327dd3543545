package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// makeCgroups makes the cgroup of a name in every hierarchy of version 1, or in
// the one of version 2, and returns their directories.
func makeCgroups(name string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		group := filepath.Join(cgroupRoot, name)
		// Delegation fails where a controller is in use elsewhere: the kubelet
		// says then which it lacks.
		for _, controller := range []string{"+cpu", "+cpuset", "+memory", "+pids", "+io"} {
			_ = os.WriteFile(filepath.Join(cgroupRoot, "cgroup.subtree_control"), []byte(controller), 0)
		}
		return []string{group}, makeCgroup(group)
	}
	hierarchies, err := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.procs"))
	if err != nil || len(hierarchies) == 0 {
		return nil, errors.Join(fmt.Errorf("no cgroups are mounted at %s", cgroupRoot), err)
	}
	var groups []string
	for _, procs := range hierarchies {
		group := filepath.Join(filepath.Dir(procs), name)
		if resolved, err := filepath.EvalSymlinks(filepath.Dir(procs)); err == nil {
			group = filepath.Join(resolved, name) // cpu and cpuacct may be one
		}
		if slices.Contains(groups, group) {
			continue
		}
		groups = append(groups, group)
		if err := makeCgroup(group); err != nil {
			return groups, err
		}
	}
	return groups, nil
}

// makeCgroup makes a cgroup, with the processors and memory of its parent where
// the hierarchy does not inherit them.
func makeCgroup(group string) error {
	if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a cgroup: %w", err)
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(group, name))
		if err != nil || strings.TrimSpace(string(own)) != "" {
			continue
		}
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(group), name))
		if err != nil {
			continue // version 2 inherits
		}
		if err := os.WriteFile(filepath.Join(group, name), parent, 0); err != nil {
			return fmt.Errorf("give a cgroup its %s: %w", name, err)
		}
	}
	return nil
}

// removeCgroups removes cgroups and all below them, which must be empty of
// processes.
func removeCgroups(groups []string) error {
	var errs []error
	for _, group := range groups {
		var all []string
		err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			return nil // what is gone needs no removing
		})
		errs = append(errs, err)
		for _, dir := range slices.Backward(all) {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
				errs = append(errs, fmt.Errorf("remove %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}
