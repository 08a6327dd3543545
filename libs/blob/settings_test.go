package blob_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestWithoutAStoreThereIsNothing(t *testing.T) {
	t.Parallel()
	store := open(t, blob.Settings{})
	_, _, put := store.Put(t.Context(), "a", strings.NewReader(""))
	_, _, byDigest := store.PutByDigest(t.Context(), "a", strings.NewReader(""))
	_, _, get := store.Get(t.Context(), "a")
	for _, err := range []error{put, byDigest, get} {
		problem, ok := errors.AsType[*contract.Error](err)
		if !ok || problem.Code != contract.CodeUnavailable || !strings.Contains(problem.Detail, "set RDEV_FILES") {
			t.Errorf("got %v", err)
		}
	}
	removed, err := store.Sweep(t.Context(), "a", time.Now())
	if err := errors.Join(err, store.DeleteAll(t.Context(), "a")); err != nil || removed != 0 {
		t.Errorf("%d files of nothing are removed, %v", removed, err)
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for want, settings := range map[string]blob.Settings{
		`"/var/lib/rdev" is neither file:///directory nor s3://bucket`: {URL: "/var/lib/rdev"},
		`"file:files" is neither`:                                      {URL: "file:files"},
		`"file://files/a" is neither`:                                  {URL: "file://files/a"},
		`"file:///files?a=b" is neither`:                               {URL: "file:///files?a=b"},
		`"s3:///files" is neither`:                                     {URL: "s3:///files"},
		"keys are in RDEV_FILES_KEY_FILE":                              {URL: "s3://id:s3cret@bucket"},
		"invalid URL escape":                                           {URL: "s3://bucket/%s3cret"},
		"not a directory":                                              {URL: "file://" + file("") + "/files"},
		"pathstyle is none of endpoint":                                {URL: "s3://bucket?pathstyle=true"},
		`tls: "no" is neither true nor false`:                          {URL: "s3://bucket?tls=no"},
		`path_style: "2" is neither true nor`:                          {URL: "s3://bucket?path_style=2"},
		"endpoint: ":                                                   {URL: "s3://bucket?endpoint=http://server"},
		"RDEV_FILES_KEY_FILE: open /missing: ":                         {URL: "s3://bucket", KeyFile: "/missing"},
		"RDEV_FILES_KEY_FILE: it has to have":                          {URL: "s3://bucket", KeyFile: file("s3cret\n")},
		"two lines, an access key id":                                  {URL: "s3://bucket", KeyFile: file("a\ns3cret\nc\nd\n")},
	} {
		store, err := blob.Open(settings)
		if store != nil || err == nil || !strings.HasPrefix(err.Error(), "RDEV_FILES: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

func TestABucketNeedNotAnswerBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"s3://bucket", "s3://bucket/prefix/?region=eu-central-1", "s3://bucket?endpoint=127.0.0.1:1&tls=false&path_style=false"} {
		open(t, blob.Settings{URL: url})
	}
}

func TestOnlyItsOwnerMayReadTheDirectory(t *testing.T) {
	t.Parallel()
	f := directory(t)
	f.put(t, "a/b/c", "")
	for name, want := range map[string]os.FileMode{"": 0o700, "a": 0o700, "a/b": 0o700, "a/b/c": 0o600} {
		info, err := os.Stat(filepath.Join(f.files, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestWhatAServerRefusesIsToldInWordsOfTheSettings(t *testing.T) {
	t.Parallel()
	server := testkit.S3(t)
	key, err := os.ReadFile(server.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(string(key), "\n")
	wrong := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(wrong, []byte(id+"\nanother"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, settings := range map[string]blob.Settings{
		"refuses the key in RDEV_FILES_KEY_FILE":  {URL: server.URL, KeyFile: wrong},
		`RDEV_FILES: there is no bucket "nobody"`: {URL: strings.Replace(server.URL, "files", "nobody", 1), KeyFile: server.KeyFile},
	} {
		store := open(t, settings)
		_, _, put := store.Put(t.Context(), "a", strings.NewReader("a"))
		_, _, get := store.Get(t.Context(), "a")
		_, sweep := store.Sweep(t.Context(), "a", time.Now())
		for i, err := range []error{put, get, sweep, store.DeleteAll(t.Context(), "a")} {
			if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, contract.ErrNotFound) {
				t.Errorf("call %d: %v", i, err)
			}
		}
	}
}
