package up

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/orchard9/rdev/libs/blob"
)

func TestFilesAreInTheHomeUnlessTheSettingsSayWhere(t *testing.T) {
	t.Chdir(t.TempDir())
	settings, err := home{"a home? 100%"}.files(blob.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Open(settings); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join("a home? 100%", "files")); err != nil {
		t.Error(err)
	}
	elsewhere := blob.Settings{URL: "s3://bucket", KeyFile: "/key"}
	if got, err := (home{"a home"}).files(elsewhere); got != elsewhere || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
