package git

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/testkit"
)

func random(t *testing.T, size int) []byte {
	t.Helper()
	data := make([]byte, size)
	_, _ = rand.Read(data)
	return data
}

func TestALargePushIsStreamedAndTooLargeAOneRefused(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, t.TempDir(), 30<<20)
	r := w.create("shop", "")
	access := w.granted(r)
	w.must("clone", "-q", access, "one")
	w.write("one", "large", random(t, 20<<20)) // git sends it in chunks
	w.must("-C", "one", "push", "-q", "origin", "main")
	w.must("clone", "-q", access, "two")
	head := w.head(r)
	if w.must("-C", "two", "rev-parse", "HEAD") != head || w.must("-C", "two", "status", "--porcelain") != "" {
		t.Error("what came back is another")
	}
	w.write("one", "larger", random(t, 50<<20))
	for _, buffer := range []string{"1m", "100m"} { // in chunks, and with a length
		w.refused("error: RPC failed", "-C", "one", "-c", "http.postBuffer="+buffer, "push", "origin", "main")
		if w.head(r) != head {
			t.Error("it was taken")
		}
	}
	w.must("-C", "two", "fetch", "-q")
}

func TestBodiesMayBeZippedAndMayWaitForTheWordToSendThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	access := w.granted(r)
	w.must("clone", "-q", access, "one")
	w.write("one", "a", random(t, 3<<20))
	w.must("-C", "one", "-c", "http.extraHeader=Expect: 100-continue", "push", "-q", "origin", "main")
	for i := range 60 { // so many refs make what is wanted so long that git zips it
		w.must("-C", "one", "commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
		w.must("-C", "one", "tag", fmt.Sprint(i))
	}
	w.must("-C", "one", "push", "-q", "origin", "--tags")
	cmd := w.command("clone", "-q", access, "two")
	cmd.Env = append(cmd.Env, "GIT_TRACE_CURL=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Content-Encoding: gzip") {
		t.Errorf("nothing was zipped: %v\n%s", err, out)
	}

	post := func(service string, body io.Reader, encoding string) (int, string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, access+"/"+service, body)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/x-"+service+"-request")
		q.Header.Set("Content-Encoding", encoding)
		answer, err := (&http.Client{Transport: &http.Transport{}, Timeout: testkit.Patience}).Do(q)
		if err != nil {
			return 0, err.Error() // cut off
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return answer.StatusCode, fmt.Sprint(string(text), err)
	}
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	for range 200 {
		_, _ = zip.Write(make([]byte, 1<<20))
	}
	_ = zip.Close()
	for name, c := range map[string]struct {
		body     io.Reader
		encoding string
		status   int
	}{
		"no gzip":          {strings.NewReader("0000"), "gzip", 400},
		"half":             {bytes.NewReader(bomb.Bytes()[:50000]), "gzip", 0},
		"a bomb":           {&bomb, "gzip", 0},
		"another encoding": {strings.NewReader("0000"), "br", 415},
		"too long":         {bytes.NewReader(make([]byte, maxFetch+1)), "", 413},
	} {
		if status, text := post(fetchService, c.body, c.encoding); status != c.status && (status < 400 || c.status != 0) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

// stalled is a push of which the first bytes are sent.
func (w *world) stalled(access, body string) net.Conn {
	w.t.Helper()
	base, err := url.Parse(access)
	if err != nil {
		w.t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", base.Host)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-git-receive-pack-request\r\nAuthorization: Basic %s\r\nContent-Length: 1000\r\n\r\n%s",
		base.Path, base64.StdEncoding.EncodeToString([]byte(base.User.String())), body)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// running are the processes of this machine that are at work in a repository.
func (w *world) running(name string) (pids []string) {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, link := range links {
		if where, err := os.Readlink(link); err == nil && where == w.path(name) {
			pids = append(pids, link)
		}
	}
	return pids
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	testkit.Eventually(w.t, func() error {
		if is() {
			return nil
		}
		return fmt.Errorf("%s: %v", what, w.running("shop.git"))
	})
}

func TestAClientThatGoesAwayTakesGitWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	access := w.granted(w.create("shop", ""))
	command := strings.Repeat("0", 40) + " " + strings.Repeat("1", 40) + " refs/heads/main\x00report-status"
	for _, body := range []string{"00", fmt.Sprintf("%04x%s0000PACK\x00\x00\x00\x02\x00\x00\x00\x01", len(command)+4, command)} {
		unfinished := func() []string {
			names, err := filepath.Glob(w.path("shop.git/objects/tmp_*"))
			w.check(err)
			return names
		}
		conn := w.stalled(access, body)
		w.eventually("git is at work", func() bool { return len(w.running("shop.git")) > 0 && (body == "00" || len(unfinished()) > 0) })
		w.check(conn.Close())
		w.eventually("git has ended", func() bool { return len(w.running("shop.git")) == 0 && len(w.turns) == 0 })
		if left := unfinished(); len(left) > 0 {
			t.Errorf("git has left %v", left)
		}
		w.must("ls-remote", access)
	}
}

// Also where git waits for nothing, and would find out late. What it says until then
// arrives.
func TestWhatGitHasStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	access := w.granted(w.create("shop", ""))
	w.grace = time.Millisecond
	program := w.program
	w.program = filepath.Join(t.TempDir(), "git")
	script := `#!/bin/sh
case "$*" in
*http-backend) cd shop.git && printf 'Content-Type: text/plain\r\n\r\nhello' && sleep 60 >/dev/null 2>&1 </dev/null & wait ;;
*) exec ` + program + ` "$@" ;;
esac
`
	w.check(os.WriteFile(w.program, []byte(script), 0o700))
	ended := func() bool { return len(w.running("shop.git")) == 0 && len(w.turns) == 0 }
	conn := w.stalled(access, "00")
	said := bufio.NewReader(conn)
	for line := ""; !strings.Contains(line, "hello"); {
		piece, err := said.ReadString('o')
		w.check(err)
		line += piece
	}
	w.eventually("git is at work", func() bool { return len(w.running("shop.git")) > 0 })
	w.check(conn.Close())
	w.eventually("git has ended", ended)

	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, access+"/"+pushService, strings.NewReader("no gzip, and longer than its header"))
	w.check(err)
	q.Header.Set("Content-Encoding", "gzip")
	answer, err := (&http.Client{Transport: &http.Transport{}, Timeout: testkit.Patience}).Do(q)
	w.check(err)
	w.check(answer.Body.Close())
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a body that is none is answered %d", answer.StatusCode)
	}
	w.eventually("git has ended", ended)
}

func TestAClientThatStallsIsLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idleTimeout = 10 * time.Millisecond
	conn := w.stalled(w.granted(w.create("shop", "")), "00")
	if _, err := io.ReadAll(conn); err != nil {
		t.Error(err)
	}
	w.eventually("git has ended", func() bool { return len(w.running("shop.git")) == 0 && len(w.turns) == 0 })
}

func TestSoManyAreServedAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.turnTimeout = testkit.Patience
	impatient := newWorldAt(t, w.dir, 0)
	impatient.turns, impatient.turnTimeout = w.turns, time.Millisecond
	access := w.granted(w.create("shop", ""))
	var conns []net.Conn
	for range defaultProcesses {
		conns = append(conns, w.stalled(access, "00"))
	}
	w.eventually("all have their turn", func() bool { return len(w.turns) == defaultProcesses })
	there := strings.Replace(access, strings.TrimPrefix(w.url, "http://"), strings.TrimPrefix(impatient.url, "http://"), 1)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, there+"/info/refs?service="+fetchService, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: &http.Transport{}, Timeout: testkit.Patience}).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one more is answered %d, %v", answer.StatusCode, answer.Header)
	}
	waiting := w.command("ls-remote", access)
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	if err := waiting.Wait(); err != nil {
		t.Errorf("who waits does not get its turn: %v", err)
	}
}
