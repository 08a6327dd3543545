package git

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// maxNote is more than a file of ours has, in bytes.
const maxNote = 4 << 10

// markLine is the first line of the files that we keep beside repositories.
func (f *Forge) markLine(slug string) string {
	return "rdev installation=" + f.installation + " project=" + slug + "\n"
}

// note is the second line of a file of ours, "" where there is no such file.
func (f *Forge) note(slug, name string) (string, error) {
	if !domain.ValidSlug(slug) {
		return "", fmt.Errorf("%q is not a slug", slug)
	}
	info, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxNote {
		return "", f.foreign(name)
	}
	text, err := f.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	line, ours := strings.CutPrefix(string(text), f.markLine(slug))
	if line, whole := strings.CutSuffix(line, "\n"); ours && whole && line != "" {
		return line, nil
	}
	return "", f.foreign(name)
}

// foreign says that something is in the way.
func (f *Forge) foreign(name string) error {
	return userError("%s is there, and is not this installation's: move it away", f.path(name))
}

func userError(format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(contract.ClassUser, format, args...)}
}

// setNote makes a file of ours, or another of it, as a whole.
func (f *Forge) setNote(slug, name, line string) error {
	before, err := f.note(slug, name)
	if err != nil || before == line {
		return err
	}
	aside, err := f.aside(slug, "note")
	if err != nil {
		return err
	}
	if err := f.write(aside, []byte(f.markLine(slug)+line+"\n")); err != nil {
		return err
	}
	return f.place(aside, name)
}

// dropNote removes a file of ours.
func (f *Forge) dropNote(slug, name string) error {
	line, err := f.note(slug, name)
	if err != nil || line == "" {
		return err
	}
	f.passed()
	err = f.root.Remove(name)
	f.passed()
	return errors.Join(ignoreMissing(err), f.sync("."))
}

// workDir has what is not yet, or no more, in its place.
func (f *Forge) workDir() string { return ".rdev-" + f.installation }

// aside is a name for something of a project that is on its way; nothing has it.
func (f *Forge) aside(slug, what string) (string, error) {
	if err := f.root.Mkdir(f.workDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := f.root.Lstat(f.workDir())
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", f.foreign(f.workDir())
	}
	return path.Join(f.workDir(), slug+"."+what+"."+rand.Text()), nil
}

// sweep removes what attempts that died have left aside of a project.
func (f *Forge) sweep(slug string) error {
	info, err := f.root.Lstat(f.workDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return f.foreign(f.workDir())
	}
	entries, err := fs.ReadDir(f.root.FS(), f.workDir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), slug+".") {
			continue
		}
		f.passed()
		if err := f.root.RemoveAll(path.Join(f.workDir(), entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file, and has it on the disk.
func (f *Forge) write(name string, data []byte) error {
	f.passed()
	file, err := f.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	f.passed()
	return err
}

// place gives what is aside its name, also after a power failure.
func (f *Forge) place(aside, name string) error {
	f.passed()
	if err := f.root.Rename(aside, name); err != nil {
		return err
	}
	f.passed()
	return errors.Join(f.sync(path.Dir(name)), f.sync(f.workDir()))
}

// sync has the disk know what is in a file, or in a directory.
func (f *Forge) sync(name string) error {
	file, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// syncAll is sync for all of a tree.
func (f *Forge) syncAll(name string) error {
	return fs.WalkDir(f.root.FS(), name, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return f.sync(name)
	})
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}
