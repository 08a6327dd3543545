package domain

import "path"

// InputsOf is the directory of the home that holds the inputs of a run.
func InputsOf(home string) string { return path.Join(home, Inputs) }

// Inputs is its name in the home.
const Inputs = "inputs"

// Form is what a stream of files is.
type Form string

// The forms.
const (
	FormFile    Form = "file"    // the bytes of one
	FormTar     Form = "tar"     // a tar file
	FormTarZstd Form = "tar.zst" // one that Zstandard has made smaller
)

// Placing says where files come in the home of a run, and how they arrive.
type Placing struct {
	// At is relative to the home: the path of the file, or the directory that holds what
	// is in the tar file, "." for the home itself.
	At    string
	Form  Form
	Exec  bool     // the file may be carried out
	Only  []string // of a tar file, what is one of these paths or below it; all where there are none
	Limit int64    // bytes of all files
}

// Kept is a file of the workspace that is kept. A directory is kept as one tar file.
type Kept struct {
	Path string // relative to the workspace; that of a directory ends with ".tar"
	Size int64  // bytes
	Dir  bool
	Exec bool // it may be carried out
}

// FilesError is returned for files that cannot be placed, or kept, as they are. Where they
// were to be placed, nothing of them is.
type FilesError struct{ Reason string }

// Error implements error.
func (e *FilesError) Error() string { return e.Reason }
