package git

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// modes are the files of the branch.
func (w *world) modes(r app.Repository) string {
	w.t.Helper()
	var all []string
	for entry := range strings.SplitSeq(strings.TrimSuffix(w.must("--git-dir="+w.path(r.Name), "ls-tree", "-r", "-z", r.Branch), "\x00"), "\x00") {
		what, name, _ := strings.Cut(entry, "\t")
		all = append(all, strings.Fields(what)[0]+" "+name)
	}
	return strings.Join(all, ", ")
}

func TestFilesAreCommittedOnceAndRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	w.must("config", "--file", w.path("shop.git/config"), "core.autocrlf", "input") // of files that are checked out
	data := []byte("a\r\nb\n")
	first, err := w.Commit(t.Context(), r, app.Commit{
		Operation: "op-1", Message: "Start shop\n\nWith all.\n",
		Files: map[string]app.CommitFile{"README.md": {Data: data}, "bin/ä \"run\"": {Data: nil, Executable: true}, ".gitattributes": {Data: []byte("* text=auto\n")}},
	})
	if err != nil || first != w.head(r) {
		t.Fatalf("it is %q, the head %q: %v", first, w.head(r), err)
	}
	show := func(format string) string {
		return w.must("--git-dir="+w.path(r.Name), "show", "-s", "--format="+format, "main")
	}
	if got := show("%an <%ae> %cn <%ce>|%B"); got != "rdev <rdev@localhost> rdev <rdev@localhost>|Start shop\n\nWith all.\n\nRdev-Operation: op-1" {
		t.Errorf("it says %q", got)
	}
	if got := w.modes(r); got != "100644 .gitattributes, 100644 README.md, 100755 bin/ä \"run\"" {
		t.Errorf("there are %s", got)
	}
	again, err := w.commitFiles(r, "", "op-1", "other")
	if err != nil || again != first {
		t.Errorf("once more it is %q, %v", again, err)
	}
	second, err := w.commitFiles(r, first, "op-2", "more", "README.md")
	if err != nil || second == first || show("%P") != first {
		t.Errorf("the second is %q, %v", second, err)
	}
	if commit, err := w.Committed(t.Context(), r, "op-1"); err != nil || commit != first {
		t.Errorf("the commit of op-1 is %q, %v", commit, err)
	}
	for _, operation := range []string{"op", "op-3", "op-1 ", first} {
		if commit, err := w.Committed(t.Context(), r, operation); err != nil || commit != "" {
			t.Errorf("the commit of %q is %q, %v", operation, commit, err)
		}
	}
	for _, c := range []struct {
		commit, path string
		want         []byte
		ok           bool
	}{
		{first, "README.md", data, true},
		{second, "README.md", []byte("README.md"), true},
		{first, "bin/ä \"run\"", nil, true},
		{first, "more", nil, false},
		{first, "bin", nil, false},
		{first, "README.md/x", nil, false},
	} {
		data, ok, err := w.Read(t.Context(), r, c.commit, c.path)
		if err != nil || ok != c.ok || !bytes.Equal(data, c.want) {
			t.Errorf("%s at %s is %q, %v, %v", c.path, c.commit, data, ok, err)
		}
	}
	for _, c := range []struct{ commit, path string }{
		{"main", "README.md"}, {strings.Repeat("0", 40), "README.md"}, {first, "../x"}, {first, ""}, {first, ".git/config"}, {first, "a\nb"}, {"--help", "x"},
	} {
		if _, ok, err := w.Read(t.Context(), r, c.commit, c.path); err == nil || ok {
			t.Errorf("%q is at %q", c.path, c.commit)
		}
	}
}

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	commit, err := w.Commit(t.Context(), r, app.Commit{Operation: "o", Message: "m", Files: map[string]app.CommitFile{"large": {Data: make([]byte, maxFile+1)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Read(t.Context(), r, commit, "large"); !strings.Contains(userFailure(err), "large of the repository shop.git has 16777217 bytes") {
		t.Error(err)
	}
}

func retryable(err error) bool {
	known, ok := errors.AsType[*app.StepError](err)
	return ok && known.Failure.Retryable && !known.Final
}

func TestWhatWasMadeForAnotherHeadIsNotCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	if _, err := w.commitFiles(r, strings.Repeat("1", 40), "o", "a"); !retryable(err) {
		t.Errorf("to an empty repository: %v", err)
	}
	first, err := w.commitFiles(r, "", "o1", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.commitFiles(r, "", "o2", "b"); !retryable(err) {
		t.Errorf("as the first one: %v", err)
	}
	w.must("clone", "-q", w.granted(r), "one")
	w.write("one", "pushed", nil)
	w.must("-C", "one", "push", "-q")
	if _, err := w.commitFiles(r, first, "o2", "b"); !retryable(err) {
		t.Errorf("after a push: %v", err)
	}
	for i := range recent { // so old is that of o1 that it is not looked for any more
		w.must("-C", "one", "commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
	}
	w.must("-C", "one", "push", "-q")
	if commit, err := w.Committed(t.Context(), r, "o1"); err != nil || commit != "" {
		t.Errorf("it is %q, %v", commit, err)
	}
}

// A push comes between every two calls of git.
func TestAPushBesideACommitIsNeverLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	served := newWorldAt(t, w.dir, 0) // whose calls of git are not counted
	w.must("clone", "-q", served.granted(served.create("shop", "")), "one")
	for at := 1; ; at++ {
		w.must("-C", "one", "commit", "-q", "--allow-empty", "-m", "before")
		w.must("-C", "one", "push", "-q", w.path(r.Name), "HEAD:main")
		parent, calls := w.head(r), 0
		w.step = func() {
			if calls++; calls == at {
				w.must("-C", "one", "commit", "-q", "--allow-empty", "-m", "beside it")
				_, _ = w.try("-C", "one", "push", "-q", "origin", "HEAD:main") // the commit may have been first
			}
		}
		commit, err := w.commitFiles(r, parent, fmt.Sprint("op-", at), "theirs", "dir/theirs")
		w.step = nil
		w.must("-C", "one", "fetch", "-q", w.path(r.Name), "main:refs/remotes/origin/main")
		parents := w.must("-C", "one", "log", "--format=%H %s", parent+"..origin/main")
		if err != nil && !retryable(err) || strings.Contains(parents, "beside it") == strings.Contains(parents, "Write") || (err == nil) != strings.Contains(parents, "Write") {
			t.Errorf("a push at %d: %q, %v, after which there are\n%s", at, commit, err, parents)
		}
		w.must("-C", "one", "reset", "-q", "--hard", "origin/main")
		if calls < at {
			if at < 25 {
				t.Errorf("there are %d boundaries: this test pushes too little", at)
			}
			return
		}
	}
}

func TestCommitsAtTheSameTimeGetInOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	var group sync.WaitGroup
	var commits [4]string
	for i := range commits {
		group.Go(func() {
			for commits[i] == "" {
				commit, err := w.commitFiles(r, w.head(r), fmt.Sprint("op-", i), fmt.Sprint(i))
				if err != nil && !retryable(err) {
					t.Error(err)
					return
				}
				commits[i] = commit
			}
		})
	}
	group.Wait()
	if count := w.must("--git-dir="+w.path(r.Name), "rev-list", "--count", "main"); count != fmt.Sprint(len(commits)) {
		t.Errorf("%s commits of %v", count, commits)
	}
}

func TestPathsThatLeadOutOrIntoGitAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	for _, name := range []string{"", ".", "..", "/a", "a/", "a//b", "a/../b", "./a", ".git/config", "a/.GIT/hooks/x", "git~1/x", "a\nb", "a\x00b", "\xff", strings.Repeat("a", maxPath+1)} {
		if _, err := w.commitFiles(r, "", "o", name); err == nil {
			t.Errorf("%q was committed", name)
		}
	}
	for _, operation := range []string{"", "a b", "a\nb", "a\tb"} {
		if _, err := w.commitFiles(r, "", operation, "a"); err == nil {
			t.Errorf("the operation %q was taken", operation)
		}
	}
	if w.head(r) != "" {
		t.Error("something was committed")
	}
	first, err := w.commitFiles(r, "", "o", "file", "dir/file", "[a]*")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"file/below": "has a blob file", "dir": "has a tree dir", "dir/file/a/b": "has a blob dir/file"} {
		if _, err := w.commitFiles(r, first, "o2", name, "new"); !strings.Contains(userFailure(err), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.commitFiles(r, first, "o2", "*", ":(top)x", "[a]*", "-x", "dir/more"); err != nil {
		t.Error(err)
	}
}

func FuzzValidPath(f *testing.F) {
	for _, seed := range []string{"a/b", ".git", "a/../b", "a//b", "/a", ".gitignore", "a\\b", "a/.Git", "ä", "-a", "git~1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !validPath(name) {
			return
		}
		if filepath.IsAbs(name) || !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsAny(name, "\x00\n") {
			t.Errorf("%q is taken", name)
		}
		for part := range strings.SplitSeq(strings.ToLower(name), "/") {
			if part == ".git" || part == ".." {
				t.Errorf("%q is taken", name)
			}
		}
	})
}
