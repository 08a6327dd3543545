package gitea

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// meanwhile does something before a call is made.
type meanwhile struct {
	next       http.RoundTripper
	method, at string // of the call, the end of its path
	do         func()
}

func (m meanwhile) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == m.method && strings.HasSuffix(request.URL.Path, m.at) {
		m.do()
	}
	return m.next.RoundTrip(request)
}

func files(all ...string) map[string]app.CommitFile {
	files := map[string]app.CommitFile{}
	for _, file := range all {
		path, data, _ := strings.Cut(file, "=")
		files[path] = app.CommitFile{Data: []byte(data)}
	}
	return files
}

func TestACommitOfWhatIsThereAndWhatIsNot(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	r := w.create(f, slug, "")
	first, err := f.Commit(t.Context(), r, app.Commit{Operation: "1", Message: "m", Files: files("a=1", "d/b=1", "d/e/c=1", "z=1")})
	w.must(err)
	second, err := f.Commit(t.Context(), r, app.Commit{Operation: "2", Message: "m", Parent: first, Files: files("a=2", "d/e/c=2", "d/new=2", "n/o/p=2", "ü ?#%=2")})
	w.must(err)
	for path, want := range map[string]string{"a": "2", "d/b": "1", "d/e/c": "2", "d/new": "2", "n/o/p": "2", "ü ?#%": "2", "z": "1", "d": "", "x": "", "d/x/y": ""} {
		data, ok, err := f.Read(t.Context(), r, second, path)
		if err != nil || string(data) != want || ok != (want != "") {
			t.Errorf("in %s is %q, %t, %v: want %q", path, data, ok, err, want)
		}
	}
	if data, ok, err := f.Read(t.Context(), r, first, "a"); err != nil || !ok || string(data) != "1" {
		t.Errorf("before it was %q, %t, %v", data, ok, err)
	}
	if _, ok, err := f.Read(t.Context(), r, strings.Repeat("1", 40), "a"); err == nil || ok {
		t.Errorf("of a commit that is none: %t, %v", ok, err)
	}
	if _, ok, err := f.Read(t.Context(), r, "", "a"); err != nil || ok {
		t.Errorf("of no commit: %t, %v", ok, err)
	}
	commit, _, err := w.all.GetSingleCommit(w.prefix+"-rdev", slug, second)
	if err != nil || commit.RepoCommit.Message != "m\n\nRdev-Operation: 2\n" || commit.Parents[0].SHA != first {
		t.Errorf("it is %+v, %v", commit, err)
	}
	// Two that do not fit the tree, and will not.
	for _, file := range []string{"a/x=3", "d=3"} {
		_, err := f.Commit(t.Context(), r, app.Commit{Operation: file, Message: "m", Parent: second, Files: files(file)})
		w.failure(err, contract.ClassInfrastructure, "no longer as at")
	}
}

func TestACommitOntoWhatHasChangedIsToBeMadeAnew(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	r := w.create(f, slug, "")
	first, err := f.Commit(t.Context(), r, app.Commit{Operation: "1", Message: "m", Files: files("a=1", "b=1")})
	w.must(err)
	second, err := f.Commit(t.Context(), r, app.Commit{Operation: "2", Message: "m", Parent: first, Files: files("a=2")})
	w.must(err)
	retryable := func(what string, err error) {
		t.Helper()
		if known, ok := errors.AsType[*app.StepError](err); !ok || !known.Failure.Retryable || known.Final {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, parent := range map[string]string{"an old parent": first, "no parent": ""} {
		_, err := f.Commit(t.Context(), r, app.Commit{Operation: "3", Message: "m", Parent: parent, Files: files("b=3")})
		retryable(what, err)
	}
	if again, err := f.Commit(t.Context(), r, app.Commit{Operation: "1", Message: "m", Files: files("a=1", "b=1")}); again != first || err != nil {
		t.Errorf("what was committed before the last one is %q, %v", again, err)
	}
	head, moved := second, 0
	move := func(file string, operation string) {
		path, data, _ := strings.Cut(file, "=")
		entry, _, err := w.all.GetContents(w.prefix+"-rdev", slug, "main", path)
		change := &sdk.ChangeFileOperation{Operation: "create", Path: path, Content: base64.StdEncoding.EncodeToString([]byte(data))}
		if err == nil {
			change.Operation, change.SHA = "update", entry.SHA
		}
		moved++
		made, _, err := w.all.ChangeFiles(w.prefix+"-rdev", slug, sdk.ChangeFilesOptions{Branch: "main", Message: operation, Files: []*sdk.ChangeFileOperation{change}})
		w.must(err)
		head = made.Commit.SHA
	}
	for i, c := range []struct {
		meanwhile, mine string
		conflict        bool
	}{{"a=x", "a=3", true}, {"new=x", "new=3", true}, {"a=y", "b=3", false}} {
		late := w.again(f)
		late.client.Transport = meanwhile{late.client.Transport, http.MethodPost, "/contents", func() { move(c.meanwhile, fmt.Sprint("move ", i)) }}
		before := head
		_, err := late.Commit(t.Context(), r, app.Commit{Operation: fmt.Sprint("late ", i), Message: "m", Parent: before, Files: files(c.mine)})
		if c.conflict {
			retryable(c.mine, err)
		} else {
			w.must(err)
		}
		path, data, _ := strings.Cut(c.meanwhile, "=")
		now, err := f.Head(t.Context(), r)
		w.must(err)
		if is, _, err := f.Read(t.Context(), r, now, path); err != nil || string(is) != data {
			t.Errorf("in %s is %q, %v: want %s", path, is, err, data)
		}
	}
	if moved != 3 {
		t.Errorf("%d commits came between", moved)
	}
}

// A directory that Gitea tells in more than one answer.
func TestAFileAmongManyIsFound(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	r := w.create(f, slug, "")
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprintf("%02d=", i))
	}
	first, err := f.Commit(t.Context(), r, app.Commit{Operation: "1", Message: "m", Files: files(many...)})
	w.must(err)
	second, err := f.Commit(t.Context(), r, app.Commit{Operation: "2", Message: "m", Parent: first, Files: files("20=more")})
	w.must(err)
	if data, ok, err := f.Read(t.Context(), r, second, "20"); string(data) != "more" || !ok || err != nil {
		t.Errorf("in it is %q, %t, %v", data, ok, err)
	}
}

func TestABranchThatTakesNoCommitIsSaidToBeSo(t *testing.T) {
	w := newWorld(t)
	f := w.forge()
	r := w.create(f, slug, "")
	first, err := f.Commit(t.Context(), r, app.Commit{Operation: "1", Message: "m", Files: files("a=1")})
	w.must(err)
	_, _, err = w.all.CreateBranchProtection(w.prefix+"-rdev", slug, sdk.CreateBranchProtectionOption{BranchName: "main", RuleName: "main"})
	w.must(err)
	_, err = f.Commit(t.Context(), r, app.Commit{Operation: "2", Message: "m", Parent: first, Files: files("a=2")})
	w.failure(err, contract.ClassUser, "takes no commit")
	if head, err := f.Head(t.Context(), r); head != first || err != nil {
		t.Errorf("the head is %s, %v", head, err)
	}
	// What has the name now is another.
	_, err = w.all.DeleteRepo(w.prefix+"-rdev", slug)
	w.must(err)
	w.team(w.prefix+"-rdev", slug, true)
	_, err = f.Commit(t.Context(), r, app.Commit{Operation: "3", Message: "m", Parent: first, Files: files("a=2")})
	w.failure(err, contract.ClassUser, "is gone")
	_, err = f.Grant(t.Context(), slug, r)
	w.failure(err, contract.ClassUser, "is gone")
}
