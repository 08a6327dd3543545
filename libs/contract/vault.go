package contract

import "time"

// Verbs of the vault, which the provisioner answers; the comments name request
// and reply.
const (
	VerbPutCredential    = "put_credential"    //nolint:gosec // no value: PutCredential → Credential
	VerbDeleteCredential = "delete_credential" //nolint:gosec // no value: DeleteCredential → CredentialDeleted
	VerbListCredentials  = "list_credentials"  // ListCredentials → CredentialList
	VerbOpenCredentials  = "open_credentials"  // OpenCredentials → SealedCredentials; for executors alone
	VerbRotateMaster     = "rotate_master"     // RotateMaster → MasterRotated
)

// MaxCredential is the most that a value may have, in bytes.
const MaxCredential = 64 << 10

// Credential is what may be told of a secret: never its value.
type Credential struct {
	// Name is that of the environment variable in which a command finds it.
	Name string `json:"name"`
	// Project is the slug of the project that it belongs to, "" for one of the
	// installation.
	Project string `json:"project,omitempty"`
	// Projects are slugs, or patterns as "ci-*", of the projects whose commands may
	// name a credential of the installation; none where empty.
	Projects  []string  `json:"projects,omitempty"`
	Version   int       `json:"version"` // from 1, with each value
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Actor     string    `json:"actor"` // who set the value
}

// PutCredential sets the value of a credential, a new one or one that exists.
type PutCredential struct {
	Name     string   `json:"name"`
	Project  string   `json:"project,omitempty"`
	Projects []string `json:"projects,omitempty"`
	Value    string   `json:"value"` // 1 to MaxCredential bytes without a zero byte
}

// DeleteCredential removes a credential and its value.
type DeleteCredential struct {
	Name    string `json:"name"`
	Project string `json:"project,omitempty"`
}

// CredentialDeleted answers DeleteCredential.
type CredentialDeleted struct{}

// ListCredentials asks for the credentials of a project, or of the installation,
// by name.
type ListCredentials struct {
	Project string `json:"project,omitempty"`
	Limit   int    `json:"limit,omitempty"`  // DefaultPage where 0, MaxPage where more
	Cursor  string `json:"cursor,omitempty"` // NextCursor of the page before
}

// CredentialList is a page of credentials.
type CredentialList struct {
	Credentials []Credential `json:"credentials"`
	NextCursor  *string      `json:"next_cursor"` // null on the last page
}

// OpenCredentials asks for the values that a running command named. It is
// answered only while the operation is running under that attempt.
type OpenCredentials struct {
	Operation string `json:"operation"`
	Attempt   int    `json:"attempt"`
	// PublicKey is the X25519 key of the executor's process, 32 bytes.
	PublicKey []byte `json:"public_key"`
}

// SealedCredentials is a JSON object of the values by name, sealed to the public
// key as an anonymous NaCl box: nobody else can open it.
type SealedCredentials struct {
	Box []byte `json:"box"`
}

// RotateMaster has every data key wrapped by the current master key.
type RotateMaster struct{}

// MasterRotated answers RotateMaster.
type MasterRotated struct {
	MasterKey string `json:"master_key"` // id of the one that wraps all data keys now
	Rewrapped int    `json:"rewrapped"`  // data keys that another had wrapped
	Kept      int    `json:"kept"`       // data keys that it had wrapped already
}
