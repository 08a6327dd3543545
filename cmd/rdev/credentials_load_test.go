package main

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// standIn is an rdev that notes how it is called and what it reads, and which
// processes have words of the file secret among their arguments or in their
// environment at that time. It fails for the name in the file failing.
const standIn = `#!/bin/sh
echo "$*" >>"$DIR/calls"
cat >"$DIR/value.$3"
grep -l -F -f "$DIR/secret" /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>"$DIR/leaks" 2>/dev/null
grep -q -x "$3" "$DIR/failing" 2>/dev/null && { echo "rdev: there is no project" >&2; exit 1; }
echo "noise of rdev"
`

// loader runs scripts/load-credentials.sh on files of its directory.
type loader struct {
	t     *testing.T
	dir   string
	shell []string // that runs the script
}

func newLoader(t *testing.T, shell ...string) *loader {
	t.Helper()
	l := &loader{t: t, dir: t.TempDir(), shell: shell}
	l.write("rdev", standIn, 0o755)
	l.write("secret", "never\n", 0o600)
	return l
}

func (l *loader) write(name, text string, mode os.FileMode) {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		l.t.Fatal(err)
	}
}

// read is the text of a file, "" where there is none.
func (l *loader) read(name string) string {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	return string(text)
}

func (l *loader) load(environment []string, args ...string) (out string, code int) {
	l.t.Helper()
	script, err := filepath.Abs("../../scripts/load-credentials.sh")
	if err != nil {
		l.t.Fatal(err)
	}
	args = append(append(append([]string{}, l.shell...), script), args...)
	cmd := exec.CommandContext(l.t.Context(), args[0], args[1:]...)
	cmd.Dir = l.dir
	cmd.Env = append(append(os.Environ(), environment...), "DIR="+l.dir, "PATH="+l.dir+":"+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		l.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestASecretsFileIsLoaded(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	l.write(".secrets", `# A comment.

PLAIN=a b=c$HOME `+"`x`"+` it's
  export SPACED = spaced # a comment
HASH=a#b
SINGLE='a "b" \n $HOME # no comment' # a comment
DOUBLE="a 'b' \"c\" \\n \$HOME $HOME\tx\r\n# no comment"#
`, 0o600)
	if out, code := l.load(nil, ".secrets"); code != 2 || !strings.Contains(out, "./.secrets, line 7: something follows the quote of DOUBLE; nothing was set") {
		t.Errorf("%d %q", code, out)
	}
	l.write(".secrets", strings.TrimSuffix(l.read(".secrets"), "#\n")+"\r\n_LAST1=*? [a]\r\nTRAILING=\"a\\n\"", 0o600)
	out, code := l.load(nil, ".secrets", "--project", "shop")
	names := strings.Fields("PLAIN SPACED HASH SINGLE DOUBLE _LAST1 TRAILING")
	want, calls := "", ""
	for _, name := range names {
		want += "loaded " + name + " of project shop\n"
		calls += "credentials set " + name + " --project=shop\n"
	}
	if code != 0 || out != want {
		t.Errorf("%d\n%s, want\n%s", code, out, want)
	}
	if got := l.read("calls"); got != calls {
		t.Errorf("rdev was called with\n%s, want\n%s", got, calls)
	}
	for name, want := range map[string]string{
		"PLAIN": "a b=c$HOME `x` it's", "SPACED": "spaced", "HASH": "a#b", "SINGLE": `a "b" \n $HOME # no comment`,
		"DOUBLE": "a 'b' \"c\" \\n $HOME $HOME\tx\r\n# no comment", "_LAST1": "*? [a]", "TRAILING": "a\n",
	} {
		// rdev drops one newline.
		if got := l.read("value." + name); got != want+"\n" {
			t.Errorf("%s is %q, want %q and a newline", name, got, want)
		}
	}
}

func TestNoValueIsInATraceAnOutputOrAProcess(t *testing.T) {
	t.Parallel()
	for name, shell := range map[string][]string{
		"as it is": nil, "sh -x": {"sh", "-x"}, "sh -v": {"sh", "-v"}, "sh -a": {"sh", "-a"}, "bash -x": {"bash", "-x"}, "bash -a": {"bash", "-a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLoader(t, shell...)
			secret := rand.Text()
			l.write("secret", secret+"\n", 0o600)
			l.write("good", "A='"+secret+"'\nB=\""+secret+"\\n"+secret+"\"\nC="+secret+"\n", 0o600)
			environment := []string{"SHELLOPTS=xtrace:allexport", "value=exported", "line=exported", "rest=exported", "head=exported", "name=exported"}
			out, code := l.load(environment, "good")
			if code != 0 || !strings.HasSuffix(out, "loaded A\nloaded B\nloaded C\n") || strings.Contains(out, secret) || strings.Contains(out, "noise") {
				t.Errorf("%d %q", code, out)
			}
			if leaks := l.read("leaks"); leaks != "" {
				t.Errorf("it is in\n%s", leaks)
			}
			if l.read("value.C") != secret+"\n" {
				t.Error("the test has seen nothing")
			}
			for _, line := range []string{secret, "a" + secret + "=x", "A=\"" + secret, "A='" + secret + "'" + secret, "A=\"\\x" + secret + "\""} {
				l.write("bad", line+"\n", 0o600)
				if out, code := l.load(environment, "bad"); code != 2 || !strings.Contains(out, "bad, line 1: ") || strings.Contains(out, secret) {
					t.Errorf("%d %q", code, out)
				}
			}
		})
	}
}

func TestAFileThatCannotBeReadSetsNothing(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	for text, want := range map[string]string{
		"A=1\n\nnothing\n": "line 3: there is no NAME=value", "a=1\n": "line 1: what is before = is not a name", "1A=1": "is not a name",
		"=1": "is not a name", "A B=1": "is not a name", "A=1\nB='x": "line 2: the quote of B is not closed", "A=\"x\\\"": "the quote of A is not closed",
		"A=\"x\ny\"": "line 1: the quote of A", "A='x'y": "something follows the quote of A", "A='x' y": "something follows", "A=": "A has no value",
		"A=''": "A has no value", "A= # none": "A has no value", "A=`x`": "begins with a backquote", "A=\"\\x\"": `that is none of \" \\ \$ \n \r \t`,
		"A=1\nB=2\nA=3\n": "line 3: A is there already, in line 1", "# none\n": "has no credentials", "A=a\x00b": "zero bytes", "\ufeffA=1": "is not a name",
	} {
		l.write("file", text, 0o600)
		if out, code := l.load(nil, "file"); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%q: %d %q, want %q", text, code, out, want)
		}
	}
	l.write("open", "A=1\n", 0o644)
	l.write("group", "A=1\n", 0o640)
	for args, want := range map[string]string{
		"": "which FILE", "missing": "is not a file", ".": "is not a file", "open": "others than its owner may read ./open", "group": "others than its owner",
		"open open": "one FILE", "--moon open": "there is no option --moon", "open --project": "--project wants a value",
	} {
		if out, code := l.load(nil, strings.Fields(args)...); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%q: %d %q, want %q", args, code, out, want)
		}
	}
	if calls := l.read("calls"); calls != "" {
		t.Errorf("rdev was called with\n%s", calls)
	}
}

func TestLoadingTellsWhatItWouldDoAndWhereItStopped(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	l.write("file", "A=1\n\nB=2\nC=3\n", 0o644)
	if out, code := l.load(nil, "--help"); code != 0 || !strings.HasPrefix(out, "Usage: ") {
		t.Errorf("%d %q", code, out)
	}
	out, code := l.load(nil, "--dry-run", "--force", "file")
	if code != 0 || out != "would load A\nwould load B\nwould load C\n" || l.read("calls") != "" {
		t.Errorf("%d %q", code, out)
	}
	l.write("failing", "B\n", 0o600)
	out, code = l.load(nil, "--for", "shop", "file", "--force", "--for=ci-*")
	if code != 1 || out != "loaded A\nrdev: there is no project\nload-credentials: B (line 3) was not set; set before it: 1\n" {
		t.Errorf("%d %q", code, out)
	}
	if calls := l.read("calls"); calls != "credentials set A --for=shop --for=ci-*\ncredentials set B --for=shop --for=ci-*\n" {
		t.Errorf("rdev was called with\n%s", calls)
	}
}
