package blob_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/contract"
)

func TestTheSweepTakesWhatIsOldAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			renewed := blob.ByDigest("artifacts/shop", digestOf("renewed"))
			for key, days := range map[string]int{
				"artifacts/shop/old": 8, "artifacts/shop/young": 6, "artifacts/other/old": 8, "artifacts/shop/again": 8,
				"artifacts2/shop/old": 8, "caches/shop/old": 8, renewed: 8,
			} {
				f.put(t, key, strings.TrimPrefix(key, "artifacts/shop/"))
				f.age(t, key, time.Duration(days)*24*time.Hour)
			}
			f.put(t, renewed, "renewed")
			f.age(t, renewed, 8*24*time.Hour)
			if _, _, err := f.PutByDigest(t.Context(), "artifacts/shop", strings.NewReader("renewed")); err != nil {
				t.Fatal(err)
			}
			f.put(t, "artifacts/shop/again", "new")
			for _, want := range []int{2, 0} {
				removed, err := f.Sweep(t.Context(), "artifacts", time.Now().Add(-7*24*time.Hour))
				if err != nil || removed != want {
					t.Errorf("%d files are removed, %v", removed, err)
				}
			}
			f.missing(t, "artifacts/shop/old", "artifacts/other/old")
			for _, key := range []string{"artifacts/shop/young", "artifacts/shop/again", "artifacts2/shop/old", "caches/shop/old", renewed} {
				f.get(t, key)
			}
			if removed, err := f.Sweep(t.Context(), "nothing/there", time.Now()); removed != 0 || err != nil {
				t.Errorf("%d files of nothing are removed, %v", removed, err)
			}
		})
	}
}

func TestAllOfAProjectIsDeletedAndNothingOfItsNeighbour(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			var gone []string
			for i := range 30 {
				gone = append(gone, "artifacts/p1/"+strconv.Itoa(i), "artifacts/p1/deep/"+strconv.Itoa(i)+"/er")
			}
			kept := []string{"artifacts/p10/a", "artifacts/p/1", "artifacts/p1-a/b", "caches/p1/a"}
			for _, key := range append(kept, gone...) {
				f.put(t, key, key)
			}
			// The second finds nothing, and so does one that names a file.
			for _, prefix := range []string{"artifacts/p1", "artifacts/p1", "artifacts/p10/a", "artifacts/p10/a/b"} {
				if err := f.DeleteAll(t.Context(), prefix); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
			f.missing(t, gone...)
			for _, key := range kept {
				f.get(t, key)
			}
			f.put(t, gone[0], "there may be another project of that name")
		})
	}
}

func TestWhatKilledWritersLeftIsSweptAfterADay(t *testing.T) {
	t.Parallel()
	f := directory(t)
	for name, age := range map[string]time.Duration{"of-today": 23 * time.Hour, "of-yesterday": 25 * time.Hour} {
		if err := os.WriteFile(filepath.Join(f.files, ".unfinished", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f.age(t, ".unfinished/"+name, age)
	}
	// Whatever is swept, and however old that has to be.
	if removed, err := f.Sweep(t.Context(), "caches", time.Now().Add(-30*24*time.Hour)); removed != 0 || err != nil {
		t.Errorf("%d files are removed, %v", removed, err)
	}
	left, err := os.ReadDir(filepath.Join(f.files, ".unfinished"))
	if err != nil || len(left) != 1 || left[0].Name() != "of-today" {
		t.Errorf("there is %v, %v", left, err)
	}
}

func TestNoLinkLeadsOutOfTheDirectory(t *testing.T) {
	t.Parallel()
	f := directory(t)
	outside := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600),
		os.Symlink(outside, filepath.Join(f.files, "out")),
	); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Get(t.Context(), "out/secret"); err == nil || errors.Is(err, contract.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if _, _, err := f.Put(t.Context(), "out/secret", strings.NewReader("")); err == nil {
		t.Error("it was written")
	}
	if err := f.DeleteAll(t.Context(), "out"); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(filepath.Join(outside, "secret")); string(content) != "secret" {
		t.Errorf("it is %q, %v", content, err)
	}
}
