package local

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestAPortIsChosenThatIsNobodysAndAlwaysTheSame(t *testing.T) {
	all := map[int]bool{}
	for port := firstPort; port <= lastPort; port++ {
		all[port] = true
	}
	nobody := func(int) bool { return true }
	if got := choose("shop", all, nobody); got != 0 {
		t.Errorf("where all are taken it is %d", got)
	}
	for range 200 {
		left := firstPort + rand.IntN(lastPort-firstPort+1)
		delete(all, left)
		if got := choose("shop", all, nobody); got != left {
			t.Errorf("where %d is left it is %d", left, got)
		}
		all[left] = true
	}
	first := choose("shop", nil, nobody)
	if again := choose("shop", nil, nobody); again != first || first < firstPort || first > lastPort {
		t.Errorf("it is %d, and then %d", first, again)
	}
	if next := choose("shop", nil, func(port int) bool { return port != first }); next == first || next == 0 {
		t.Errorf("where somebody listens on %d it is %d", first, next)
	}
}

// TestProjectsThatWantTheSamePortAtOnceGetDifferentOnes makes those that would all begin to
// look for one at the same place.
func TestProjectsThatWantTheSamePortAtOnceGetDifferentOnes(t *testing.T) {
	nobody := func(int) bool { return true }
	wanted := choose("p0", nil, nobody)
	var slugs []string
	for i := 0; len(slugs) < 12; i++ {
		if slug := fmt.Sprintf("p%d", i); choose(slug, nil, nobody) == wanted {
			slugs = append(slugs, slug)
		}
	}
	dir := t.TempDir()
	var all sync.WaitGroup
	for _, slug := range slugs {
		w, err := Open(dir) // as in another process
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		all.Go(func() {
			if _, err := w.Create(t.Context(), slug); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	directory, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if taken, err := directory.taken(""); err != nil || len(taken) != len(slugs) {
		t.Errorf("%d projects have %d ports (%v)", len(slugs), len(taken), err)
	}
}

// TestWhereverTheMakingOfAProjectWasCutOffItIsMadeByTheNextTry makes what is on the disk
// at every moment of it.
func TestWhereverTheMakingOfAProjectWasCutOffItIsMadeByTheNextTry(t *testing.T) {
	other := choose("blog", nil, isFree)
	for name, files := range map[string]map[string]string{
		"nothing":           {},
		"its directory":     {"shop/": ""},
		"its workspace":     {"shop/workspace/": ""},
		"an empty note":     {"shop/workspace/": "", "shop/.port": ""},
		"half a note":       {"shop/workspace/": "", "shop/.port": "20"},
		"a note":            {"shop/workspace/": "", "shop/.port": "20001\n"},
		"all of it":         {"shop/workspace/": "", "shop/port": strconv.Itoa(choose("shop", nil, isFree)) + "\n"},
		"an emptied note":   {"shop/workspace/": "", "shop/port": ""},
		"a note of another": {"shop/workspace/": "", "shop/port": strconv.Itoa(other) + "\n"},
		"a port too low":    {"shop/workspace/": "", "shop/port": "22\n"},
		"nonsense":          {"shop/workspace/": "", "shop/port": "\x00\x00\x00"},
		"a link":            {"shop/workspace/": "", ".routes/shop.localhost": "../shop"},
		"a lost link":       {".routes/shop.localhost": "../gone"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files["blog/port"] = strconv.Itoa(other) + "\n"
			for name, text := range files {
				lay(t, filepath.Join(dir, name), text)
			}
			w, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.Create(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
			port, err := w.portOf("shop")
			if err != nil || port == other || port == 22 {
				t.Errorf("it has %d (%v)", port, err)
			}
			routes, err := OpenRoutes(dir, 8080)
			if err != nil {
				t.Fatal(err)
			}
			defer routes.Close()
			if _, err := routes.Create(t.Context(), "shop", "shop.localhost"); err != nil {
				t.Fatal(err)
			}
			if slug, found, err := routes.Find(t.Context(), "shop.localhost"); slug != "shop" || found != port || err != nil {
				t.Errorf("it is found as %s on %d (%v), want shop on %d", slug, found, err, port)
			}
			if _, err := os.Stat(filepath.Join(dir, "shop", ".port")); err == nil {
				t.Error("half a note is left")
			}
		})
	}
}

// lay makes a directory, a link or a file.
func lay(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	switch {
	case strings.HasSuffix(path, "workspace"), strings.HasSuffix(path, "shop"):
		err = os.MkdirAll(path, 0o700)
	case strings.HasPrefix(text, ".."):
		err = os.Symlink(text, path)
	case err == nil:
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzHostIn(f *testing.F) {
	for _, seed := range []string{
		"shop.localhost", "SHOP.Localhost.:8080", "a.b.localhost", "localhost", ".localhost", "127.0.0.1:8080", "[::1]:80",
		"shop.localhost:80:90", "-a.localhost", "a..localhost", "shop.localhost.evil.example", "\u212a.localhost", "a/../b.localhost", "a.localhost\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		host, ok := hostIn(header)
		if !ok {
			return
		}
		if again, ok := hostIn(host); !ok || again != host {
			t.Errorf("%q is %q, which is %q (%v)", header, host, again, ok)
		}
		if !strings.HasSuffix(host, ".localhost") || len(host) > maxHost || !filepath.IsLocal(host) || filepath.Base(host) != host {
			t.Errorf("%q is %q", header, host)
		}
		if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || !strings.EqualFold(header[:len(host)], host) {
			t.Errorf("%q is %q", header, host)
		}
	})
}

func TestHostsBelowLocalhostAreKnown(t *testing.T) {
	for header, want := range map[string]string{
		"shop.localhost":                               "shop.localhost",
		"Shop.LOCALHOST:8080":                          "shop.localhost",
		"shop.localhost.":                              "shop.localhost",
		"api.v2.shop.localhost:1":                      "api.v2.shop.localhost",
		"localhost:8080":                               "",
		"127.0.0.1:8080":                               "",
		"[::1]:8080":                                   "",
		"shop.localhost.example.org":                   "",
		"shop.localhost:http":                          "",
		"shop_1.localhost":                             "",
		"-shop.localhost":                              "",
		"..localhost":                                  "",
		"user@shop.localhost":                          "",
		"\u212aey.localhost":                           "", // the sign for Kelvin, whose lower case is k
		strings.Repeat("a", 64) + ".localhost":         "",
		strings.Repeat("a.", 122) + "localhost":        strings.Repeat("a.", 122) + "localhost",
		strings.Repeat("a.", 123) + "localhost":        "",
		strings.Repeat("a", 63) + ".localhost:":        strings.Repeat("a", 63) + ".localhost",
		"shop.localhost:8080, evil.example":            "",
		"shop.localhost:99999999999999999999999999999": "shop.localhost", // a port is nobody's business
		"shop.localhost:8080:8080":                     "",
		"shop.localhost/../../etc":                     "",
		"shop.localhost\x00":                           "",
		"":                                             "",
	} {
		host, ok := hostIn(header)
		if ok != (want != "") || ok && host != want {
			t.Errorf("%q is %q (%v), want %q", header, host, ok, want)
		}
	}
}
