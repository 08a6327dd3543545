package blob_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/blob"
)

// beAWriter has this test program write files instead of running the tests: one that
// can be killed without them.
const beAWriter = "be-a-writer"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == beAWriter {
		fmt.Fprintln(os.Stderr, write(os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// write writes one file after the other under a key, each of one letter, until its
// standard input ends, and says so in the middle of each.
func write(url string) error {
	store, err := blob.Open(blob.Settings{URL: url})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for i := 0; ; i++ {
		half := strings.Repeat(string(rune('a'+i%26)), 1<<19)
		middle := readerFunc(func([]byte) (int, error) {
			fmt.Println(i)
			return 0, io.EOF
		})
		content := io.MultiReader(strings.NewReader(half), middle, strings.NewReader(half))
		if _, _, err := store.Put(ctx, "caches/shop/key", content); err != nil {
			return err
		}
	}
}

func TestAKilledWriterLeavesOneWholeFile(t *testing.T) {
	t.Parallel()
	f := directory(t)
	for round := range 10 {
		cmd := exec.Command(os.Args[0], beAWriter, "file://"+strings.ReplaceAll(f.files, " ", "%20"))
		cmd.Stderr = t.Output()
		lifeline, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		said, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(said)
		for range round + 2 { // the second one says that the first is there
			if _, err := lines.ReadString('\n'); err != nil {
				t.Error(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
		_ = lifeline.Close()
		got := f.get(t, "caches/shop/key")
		if len(got) != 1<<20 || got != strings.Repeat(got[:1], 1<<20) {
			t.Fatalf("round %d: %d bytes are a mixture", round, len(got))
		}
	}
	left, err := filepath.Glob(filepath.Join(f.files, ".unfinished", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		f.age(t, ".unfinished/"+filepath.Base(name), 25*time.Hour)
	}
	if _, err := f.Sweep(t.Context(), "caches", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	f.onlyFile(t, "caches/shop/key")
	f.put(t, "caches/shop/key", "no lock is left behind")
}
