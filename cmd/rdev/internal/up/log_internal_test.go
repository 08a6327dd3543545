package up

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPeopleSeeWhatMattersAndTheFileHasItAllInUTC(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	var seen bytes.Buffer
	for range 2 {
		log, file, err := OpenLog(home, &seen, slog.LevelWarn)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("quiet")
		log.With("service", "audit").Warn("trouble")
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(home, "rdev.log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 4 || strings.Count(string(text), `Z","level":`) != 4 || !strings.HasSuffix(lines[3], `"level":"WARN","msg":"trouble","service":"audit"}`) {
		t.Errorf("the file has\n%s", text)
	}
	if strings.Contains(seen.String(), "msg=quiet") || strings.Count(seen.String(), "level=WARN") != 2 {
		t.Errorf("people see\n%s", &seen)
	}
}

func TestALogThatIsFullBeginsAgain(t *testing.T) {
	file := &logFile{path: filepath.Join(t.TempDir(), "log"), max: 10}
	if err := file.open(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"one\n", "two\n", "three\n", "four\n", "five\n", "six\n"} {
		if n, err := file.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file.path: "six\n", file.path + ".1": "four\nfive\n"} {
		if got, err := os.ReadFile(path); string(got) != want {
			t.Errorf("%s has %q, want %q (%v)", path, got, want, err)
		}
	}
}
