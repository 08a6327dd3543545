package vault_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/box"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/vault"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var (
	_ app.KMS    = vault.Keyring{}
	_ app.Cipher = vault.Cipher{}
)

func newKey() string { return base64.StdEncoding.EncodeToString(vault.Cipher{}.NewKey()) }

func wrapped(t *testing.T, keyring vault.Keyring, id string, key []byte) app.DataKey {
	t.Helper()
	master, sealed, err := keyring.Wrap(t.Context(), id, key)
	if err != nil {
		t.Fatal(err)
	}
	return app.DataKey{ID: id, MasterKey: master, Wrapped: sealed}
}

func TestADataKeyIsUnwrappedByItsMasterKeyAlone(t *testing.T) {
	first, second := newKey(), newKey()
	old, both := vault.FromText("old", first), vault.FromText("both", second+"\n\n  "+first+"  \n")
	key := vault.Cipher{}.NewKey()
	stored := wrapped(t, old, "k1", key)
	if bytes.Contains(stored.Wrapped, key) {
		t.Error("the data key is there in the clear")
	}
	for _, keyring := range []vault.Keyring{old, both} {
		if got, err := keyring.Unwrap(t.Context(), stored); err != nil || !bytes.Equal(got, key) {
			t.Errorf("got %x, %v", got, err)
		}
	}
	current, err := both.Current(t.Context())
	if err != nil || current == stored.MasterKey || len(current) != 16 {
		t.Errorf("the current key is %q, %v", current, err)
	}
	if _, err := vault.FromText("new", second).Unwrap(t.Context(), stored); err == nil || !strings.Contains(err.Error(), "new: data key k1 was wrapped with master key "+stored.MasterKey) {
		t.Errorf("got %v, want an error that names the master key", err)
	}
	other := stored
	other.ID = "k2"
	if _, err := old.Unwrap(t.Context(), other); err == nil {
		t.Error("it was unwrapped under the id of another")
	}
	other = stored
	other.MasterKey = current
	if _, err := both.Unwrap(t.Context(), other); err == nil {
		t.Error("it was unwrapped by another master key")
	}
	for i := range stored.Wrapped {
		other = stored
		other.Wrapped = bytes.Clone(stored.Wrapped)
		other.Wrapped[i] ^= 1
		if _, err := old.Unwrap(t.Context(), other); err == nil {
			t.Errorf("byte %d was changed, and it was unwrapped", i)
		}
		other.Wrapped = stored.Wrapped[:i]
		if _, err := old.Unwrap(t.Context(), other); err == nil {
			t.Errorf("it was cut to %d bytes, and unwrapped", i)
		}
	}
}

func TestAKeyIsAddedToTheFileWithoutARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keyring := vault.FromFile("FILE", file)
	if _, err := keyring.Current(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "FILE: ") {
		t.Errorf("without a file: %v", err)
	}
	first := newKey()
	write(first)
	stored := wrapped(t, keyring, "k1", vault.Cipher{}.NewKey())
	write(newKey() + "\r\n" + first + "\n")
	if now := wrapped(t, keyring, "k1", vault.Cipher{}.NewKey()); now.MasterKey == stored.MasterKey {
		t.Error("the new first line is not the current key")
	}
	if _, err := keyring.Unwrap(t.Context(), stored); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoMasterKeyIsRefusedAndNotRepeated(t *testing.T) {
	good := newKey()
	for _, text := range []string{
		"", "\n \n", "s3cret", good[:len(good)-4], good + "AAAA", good + "\ns3cret", good + "\n# a comment", strings.TrimRight(good, "="),
		base64.StdEncoding.EncodeToString([]byte("s3cret")),
	} {
		_, err := vault.FromText("KEY", text).Current(t.Context())
		if err == nil {
			t.Errorf("%q is accepted", text)
		} else if strings.Contains(err.Error(), "s3cret") || len(text) > 9 && strings.Contains(err.Error(), text[:9]) {
			t.Errorf("the error has the key: %v", err)
		}
	}
}

func credential() app.SealedCredential {
	return app.SealedCredential{DataKey: "k1", Credential: contract.Credential{
		Name: "TOKEN", Project: "shop", Projects: []string{"ci-*", "web"}, Version: 3, Actor: "key:a",
	}}
}

func TestAValueIsOpenedInItsPlaceAlone(t *testing.T) {
	key := vault.Cipher{}.NewKey()
	sealed, err := vault.Cipher{}.Seal(key, credential(), "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	again, err := vault.Cipher{}.Seal(key, credential(), "s3cret")
	if err != nil || bytes.Equal(again.Nonce, sealed.Nonce) || bytes.Equal(again.Ciphertext, sealed.Ciphertext) {
		t.Errorf("the same value looks the same again (%v)", err)
	}
	same := sealed
	same.Actor = "key:b" // is not what guards the value
	if value, err := (vault.Cipher{}).Open(key, same); err != nil || value != "s3cret" {
		t.Errorf("got %q, %v", value, err)
	}
	for name, change := range map[string]func(*app.SealedCredential){
		"name":            func(c *app.SealedCredential) { c.Name = "TOKEN_2" },
		"project":         func(c *app.SealedCredential) { c.Project = "blog" },
		"installation":    func(c *app.SealedCredential) { c.Project = "" },
		"version":         func(c *app.SealedCredential) { c.Version-- },
		"data key":        func(c *app.SealedCredential) { c.DataKey = "k2" },
		"projects":        func(c *app.SealedCredential) { c.Projects = []string{"*"} },
		"more projects":   func(c *app.SealedCredential) { c.Projects = append(slices.Clone(c.Projects), "blog") },
		"joined projects": func(c *app.SealedCredential) { c.Projects = []string{"ci-*web"} },
		"shifted":         func(c *app.SealedCredential) { c.Project, c.Name = "shopT", "OKEN" },
		"nonce":           func(c *app.SealedCredential) { c.Nonce = again.Nonce },
		"no nonce":        func(c *app.SealedCredential) { c.Nonce = nil },
		"long nonce":      func(c *app.SealedCredential) { c.Nonce = append(bytes.Clone(c.Nonce), 0) },
		"ciphertext":      func(c *app.SealedCredential) { c.Ciphertext = again.Ciphertext },
		"no ciphertext":   func(c *app.SealedCredential) { c.Ciphertext = nil },
		"a bit":           func(c *app.SealedCredential) { c.Ciphertext = bytes.Clone(c.Ciphertext); c.Ciphertext[0] ^= 1 },
		"a bit of tag":    func(c *app.SealedCredential) { c.Ciphertext = bytes.Clone(c.Ciphertext); c.Ciphertext[20] ^= 128 },
	} {
		changed := sealed
		change(&changed)
		if value, err := (vault.Cipher{}).Open(key, changed); err == nil {
			t.Errorf("%s changed: opened as %q", name, value)
		}
	}
	if value, err := (vault.Cipher{}).Open(vault.Cipher{}.NewKey(), sealed); err == nil {
		t.Errorf("another key opens it as %q", value)
	}
	if value, err := (vault.Cipher{}).Open(key[:16], sealed); err == nil {
		t.Errorf("half the key opens it as %q", value)
	}
}

func TestAMessageIsReadByTheOwnerOfTheKeyAlone(t *testing.T) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := vault.Cipher{}.SealTo(public[:], []byte("s3cret"))
	if err != nil || bytes.Contains(sealed, []byte("s3cret")) {
		t.Fatalf("%q, %v", sealed, err)
	}
	if got, ok := box.OpenAnonymous(nil, sealed, public, private); !ok || string(got) != "s3cret" {
		t.Errorf("got %q", got)
	}
	otherPublic, otherPrivate, err := box.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := box.OpenAnonymous(nil, sealed, otherPublic, otherPrivate); ok {
		t.Error("another opened it")
	}
	for _, size := range []int{0, 31, 33} {
		if _, err := (vault.Cipher{}).SealTo(make([]byte, size), nil); err == nil {
			t.Errorf("a key of %d bytes is accepted", size)
		}
	}
}

// What is stored, and what the file has, is read without harm, whatever it is.
func FuzzWhatIsStoredIsReadWithoutHarm(f *testing.F) {
	// The same keys in each of the processes that fuzz.
	key := make([]byte, 32)
	master := base64.StdEncoding.EncodeToString(key)
	keyring := vault.FromText("KEY", master)
	id, stored, err := keyring.Wrap(f.Context(), "k1", key)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := vault.Cipher{}.Seal(key, credential(), "s3cret")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(id, stored, sealed.Nonce, sealed.Ciphertext, "k1", []byte(master))
	f.Add(id, stored[:12], sealed.Nonce[:11], sealed.Ciphertext[:16], "", []byte("\n"))
	f.Add("", []byte{}, []byte{}, []byte{}, "k2", []byte{})
	f.Fuzz(func(t *testing.T, master string, wrapped, nonce, ciphertext []byte, dataKey string, file []byte) {
		got, err := keyring.Unwrap(t.Context(), app.DataKey{ID: dataKey, MasterKey: master, Wrapped: wrapped})
		if genuine := master == id && dataKey == "k1" && bytes.Equal(got, key); err == nil && !genuine {
			t.Errorf("unwrapped %x as %s", got, dataKey)
		}
		c := credential()
		c.DataKey, c.Nonce, c.Ciphertext = dataKey, nonce, ciphertext
		value, err := vault.Cipher{}.Open(key, c)
		if genuine := dataKey == "k1" && value == "s3cret"; err == nil && !genuine {
			t.Errorf("opened %q as of %s", value, dataKey)
		}
		if _, err := (vault.Cipher{}).Open(wrapped, c); err == nil && !bytes.Equal(wrapped, key) {
			t.Error("a foreign key opened it")
		}
		if current, err := vault.FromText("FUZZ", string(file)).Current(t.Context()); err == nil && len(current) != 16 {
			t.Errorf("the id %q", current)
		}
	})
}
