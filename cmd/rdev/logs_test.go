package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const logLines = `{"time":"2026-01-02T03:04:05.678901234Z","level":"INFO","msg":"done","service":"executor","kind":"shell","operation":"op-1","took":1000000}
{"time":"NOW","level":"WARN","msg":"no","service":"audit","error":"a \"b\"","nested":{"a":1}}
`

// logs runs scripts/logs.sh, with a home whose log is logLines and a kubectl that
// notes how it is called and answers with the lines of two pods.
func logs(t *testing.T, args string) (out, calls string, code int) {
	t.Helper()
	home := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.ReplaceAll(logLines, "NOW", time.Now().UTC().Format(time.RFC3339Nano))
	write("rdev.log", lines)
	write("answer", "[pod/nats-0/nats] 2026-01-02T03:04:06.000000000Z [1] not JSON\n"+
		"[pod/executor-1/service] 2026-01-02T03:04:05.700000000Z "+strings.SplitAfter(logLines, "\n")[0])
	write("kubectl", "#!/bin/sh\necho \"$*\" >>"+home+"/calls\ncat "+home+"/answer\n")
	cmd := exec.CommandContext(t.Context(), "../../scripts/logs.sh", strings.Fields(args)...)
	cmd.Env = append(os.Environ(), "RDEV_HOME="+home, "PATH="+home+":"+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	called, err := os.ReadFile(filepath.Join(home, "calls"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text), string(called), cmd.ProcessState.ExitCode()
}

func TestTheLogsOfRdevUp(t *testing.T) {
	t.Parallel()
	first, second, _ := strings.Cut(logLines, "\n")
	_, second, _ = strings.Cut(second, `,"level"`)
	const done = "2026-01-02T03:04:05.678 INFO  executor done kind=shell operation=op-1 took=1000000\n"
	for args, want := range map[string]string{
		"--up executor":                done,
		"--up --operation op-1":        done,
		"--up --operation op-2":        "",
		"--up --json executor":         first + "\n",
		"--up gateway":                 "",
		"--up --since 1m executor":     "",
		"--up --since 2h --json audit": second,
	} {
		if out, _, code := logs(t, args); code != 0 || !strings.HasSuffix(out, want) || want == "" && out != "" {
			t.Errorf("logs %s: %d\n%q, want %q", args, code, out, want)
		}
	}
	if out, _, _ := logs(t, "--up"); strings.Count(out, "\n") != 2 || !strings.HasSuffix(out, ` WARN  audit no error=a "b" nested={"a":1}`+"\n") {
		t.Errorf("all of it: %q", out)
	}
}

func TestTheLogsOfAnInstallation(t *testing.T) {
	t.Parallel()
	out, calls, code := logs(t, "--since 10m")
	const want = "2026-01-02T03:04:05.678 INFO  executor executor-1 done kind=shell operation=op-1 took=1000000\n" +
		"2026-01-02T03:04:06.000 nats-0 [1] not JSON\n"
	if out != want || code != 0 {
		t.Errorf("%d\n%q, want\n%q", code, out, want)
	}
	if want := "--namespace rdev logs --selector app.kubernetes.io/part-of=rdev --all-containers --tail=-1 --max-log-requests=100 --since=10m --prefix --timestamps\n"; calls != want {
		t.Errorf("kubectl %q, want %q", calls, want)
	}
	if _, calls, _ := logs(t, "-f --json nats"); !strings.Contains(calls, "--selector app.kubernetes.io/name=nats ") || !strings.HasSuffix(calls, " --follow\n") {
		t.Errorf("kubectl %q", calls)
	}
	if out, _, _ := logs(t, "--operation op-1"); strings.Count(out, "\n") != 1 {
		t.Errorf("of one operation: %q", out)
	}
}

func TestLogsRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"moon": "there is neither a service nor an option moon", "audit nats": "one service, or all",
		"--since": "--since wants a value", "--since soon": "is not like 90s", "--operation a;b": "is not the id",
	} {
		if out, _, code := logs(t, args); code != 2 || !strings.Contains(out, want) {
			t.Errorf("logs %s: %d %q, want %q", args, code, out, want)
		}
	}
	if out, _, code := logs(t, "--help"); code != 0 || !strings.HasPrefix(out, "Usage: ") {
		t.Errorf("%d %q", code, out)
	}
}
