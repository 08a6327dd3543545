package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// debian is the layer with Debian packages and all that they depend on, as this
// machine's apt finds them. It is made once for a list of packages and a
// release of Debian: it gets no updates, and is for tests only.
func (s store) debian(ctx context.Context, packages []string) (layer, error) {
	release, err := os.ReadFile("/etc/debian_version")
	if err != nil {
		return layer{}, fmt.Errorf("the claudebox of the tests is made of Debian packages, on Debian: %w", err)
	}
	packages = slices.Sorted(slices.Values(packages))
	major, _, _ := strings.Cut(strings.TrimSpace(string(release)), ".")
	about := "Debian " + major + ": " + strings.Join(packages, " ")
	return s.layer(ctx, about, "debian v1 "+about, func(ctx context.Context, t *tree) error {
		dir, err := os.MkdirTemp(s.dir, "apt-")
		if err != nil {
			return fmt.Errorf("make a directory for apt: %w", err)
		}
		debs, err := download(ctx, dir, packages)
		if err == nil {
			err = unpack(ctx, t, debs)
		}
		return errors.Join(err, os.RemoveAll(dir))
	})
}

// download has apt fetch the packages, and what they need on a machine that has
// nothing, into dir. It works on lists of its own: it changes nothing on the
// machine, and need not be root. apt checks the signatures.
func download(ctx context.Context, dir string, packages []string) (debs []string, err error) {
	for _, made := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, made), 0o755); err != nil {
			return nil, fmt.Errorf("make a directory for apt: %w", err)
		}
	}
	status := filepath.Join(dir, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, fmt.Errorf("say that nothing is installed: %w", err)
	}
	options := []string{
		"--quiet=2", "--assume-yes",
		"-o", "Dir::State=" + filepath.Join(dir, "state"), "-o", "Dir::State::status=" + status,
		"-o", "Dir::Cache=" + filepath.Join(dir, "cache"), "-o", "APT::Sandbox::User=root",
		"-o", "APT::Install-Recommends=false", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3",
	}
	update := exec.CommandContext(ctx, "apt-get", append(slices.Clone(options), "update")...)
	if err := perform(update); err != nil {
		return nil, fmt.Errorf("fetch the lists of packages: %w", err)
	}
	install := exec.CommandContext(ctx, "apt-get", slices.Concat(options, []string{"--download-only", "install"}, packages)...)
	if err := perform(install); err != nil {
		return nil, fmt.Errorf("fetch the packages: %w", err)
	}
	debs, err = filepath.Glob(filepath.Join(dir, "cache/archives/*.deb"))
	if err == nil && len(debs) == 0 {
		err = errors.New("apt fetched no package")
	}
	return debs, err
}

// unpack puts the files of packages into the tree, and does by hand what their
// scripts would do and a container needs. No script runs.
func unpack(ctx context.Context, t *tree, debs []string) error {
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		t.dir("usr/"+dir, 0o755, 0)
		t.symlink(dir, "usr/"+dir)
	}
	slices.Sort(debs)
	for _, deb := range debs {
		if err := unpackOne(ctx, t, deb); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	if !t.has("usr/bin/sh") {
		t.symlink("usr/bin/sh", "dash")
	}
	if t.has("usr/bin/mawk") && !t.has("usr/bin/awk") {
		t.symlink("usr/bin/awk", "mawk")
	}
	return trust(t)
}

func unpackOne(ctx context.Context, t *tree, deb string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	command := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	if err := addTar(t, stdout); err != nil {
		cancel()
		return errors.Join(err, command.Wait())
	}
	return command.Wait()
}

// addTar puts the files of a package into the tree, but not what only people
// read. It leaves nothing set-user-ID: root is nobody's way in a container.
func addTar(t *tree, r io.Reader) error {
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		name := clean(header.Name)
		if unwanted(name) {
			continue
		}
		mode := header.FileInfo().Mode()
		switch header.Typeflag {
		case tar.TypeDir:
			t.dir(name, mode, 0)
		case tar.TypeReg:
			err = t.file(name, mode, archive)
		case tar.TypeLink:
			err = t.link(name, header.Linkname)
		case tar.TypeSymlink:
			t.symlink(name, header.Linkname)
		}
		if err != nil {
			return err
		}
	}
}

// unwanted are manuals and translations; licences stay.
func unwanted(name string) bool {
	for _, dir := range []string{"usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian"} {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return strings.HasPrefix(name, "usr/share/doc/") && path.Base(name) != "copyright"
}

// trust writes the bundle of certificate authorities, as update-ca-certificates
// would.
func trust(t *tree) error {
	var bundle strings.Builder
	for _, name := range t.files("usr/share/ca-certificates") {
		certificate, err := t.read(name)
		if err != nil {
			return err
		}
		bundle.Write(certificate)
	}
	if bundle.Len() == 0 {
		return nil
	}
	return t.file(bundlePath, 0o644, strings.NewReader(bundle.String()))
}

// bundlePath is where programs on Debian look for certificate authorities.
const bundlePath = "etc/ssl/certs/ca-certificates.crt"
