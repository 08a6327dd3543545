package app_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// site is where a piece of work runs as the executor would have it run.
type site struct {
	*testing.T
	dir  string // workspace, and in it home, tmp and bin
	argv []string
	env  []string
}

// newSite plans work. PATH has the programs of bin, and a few of the system.
func newSite(t *testing.T, work contract.Work, cmd contract.Command) *site {
	t.Helper()
	work.MaxAttempts = 1
	w, e := newWork(t, work, cmd, program{exit: domain.Exit{Known: true}})
	w.vault = func(contract.Operation) (map[string]string, error) {
		return map[string]string{"KUBECONFIG": "the: kubeconfig\n"}, nil
	}
	w.take(t, e, worker)
	if w.started != 1 {
		t.Fatalf("it did not start: %+v", w.op.Failure)
	}
	dir := t.TempDir()
	s := &site{T: t, dir: dir, argv: w.spec.Argv}
	for _, name := range []string{"home", "tmp", "bin", "system"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "sleep", "date", "mkfifo", "setsid", "cat", "touch", "rm"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, "system", name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.sweep)
	s.env = append(w.spec.Env, "HOME="+filepath.Join(dir, "home"), "TMPDIR="+filepath.Join(dir, "tmp"),
		"PATH="+filepath.Join(dir, "bin")+":"+filepath.Join(dir, "system"), "DIR="+dir)
	return s
}

// sweep kills what is left, as the runner does.
func (s *site) sweep() {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.Error(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		pid, numErr := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if errors.Join(err, numErr) == nil && slices.Contains(strings.Split(string(text), "\x00"), "DIR="+s.dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// stub puts a program on the PATH that notes its arguments in the file calls.
func (s *site) stub(name, script string) {
	s.Helper()
	text := "#!/bin/sh\nfor a in " + name + ` "$@"; do printf '<%s>' "$a"; done >>"$DIR/calls"; echo >>"$DIR/calls"` + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(s.dir, "bin", name), []byte(text), 0o755); err != nil {
		s.Fatal(err)
	}
}

func (s *site) calls() []string {
	text, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// process is the work while it runs.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// shells are those that the scripts have to work with.
func shells() []string { return []string{"dash", "bash"} }

func (s *site) start(shell string) *process {
	s.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithTimeout(s.Context(), time.Minute)
	s.Cleanup(stop)
	p := &process{Cmd: exec.CommandContext(ctx, path, s.argv[1:]...)}
	p.Dir, p.Env, p.Stdout, p.Stderr = s.dir, s.env, &p.stdout, &p.stderr
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.Start(); err != nil {
		s.Fatal(err)
	}
	return p
}

// end is the exit code of a process.
func (s *site) end(p *process) int {
	s.Helper()
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		s.Fatalf("%v: %s", err, p.stderr.String())
	} else if exit != nil && !exit.Exited() {
		s.Errorf("it was ended by %v", exit)
	}
	return p.ProcessState.ExitCode()
}

func (s *site) run(shell string) (code int, stdout, stderr string) {
	s.Helper()
	p := s.start(shell)
	code = s.end(p)
	return code, p.stdout.String(), p.stderr.String()
}

// until waits for a file.
func (s *site) until(name string) {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		if _, err := os.Stat(filepath.Join(s.dir, name)); err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("there is no file %s", name)
		}
	}
}

func shellScript(text string) contract.Command {
	return contract.Command{Shell: &contract.Shell{Script: text}}
}

// aService is one that can be used some time after it has started, and notes its end.
func aService() contract.Service {
	return contract.Service{
		Name:   "db",
		Script: `trap 'echo bye; touch "$DIR/ended"; exit' TERM; echo "it's me"; printf 'two  \\ ' >&2; sleep 0.3; echo lines; touch "$DIR/ready"; while :; do sleep 0.05; done`,
		Ready:  `test -f "$DIR/ready"`, Within: contract.Duration(time.Minute),
	}
}

func TestServicesRunBesideTheProgram(t *testing.T) {
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			cmd := shellScript(`test -f "$DIR/ready" && ! test -f "$DIR/ended" && cat && exit 7`)
			s := newSite(t, contract.Work{Services: []contract.Service{aService(), {Name: "idle", Script: "exec sleep 600"}}}, cmd)
			began := time.Now()
			code, stdout, stderr := s.run(shell)
			if code != 7 || stdout != "" || !strings.Contains(stderr, "[db] it's me\n[db] two  \\ lines\n") || !strings.HasSuffix(stderr, "[db] bye\n") {
				t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
			}
			s.until("ended")
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestAServiceThatWillNotEndIsKilled(t *testing.T) {
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			service := contract.Service{Name: "db", Script: `trap '' TERM; sh -c 'echo $$ >"$DIR/child"; exec sleep 600' & wait`, Ready: `test -s "$DIR/child"`}
			s := newSite(t, contract.Work{Services: []contract.Service{service}}, shellScript(`exit 0`))
			if code, _, stderr := s.run(shell); code != 0 {
				t.Errorf("exit code %d, printed %q", code, stderr)
			}
			text, err := os.ReadFile(filepath.Join(s.dir, "child"))
			if err != nil {
				t.Fatal(err)
			}
			status, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(text)), "status"))
			if err == nil && !strings.Contains(string(status), "(zombie)") {
				t.Errorf("it lives: %s", status)
			}
		})
	}
}

func TestAServiceThatIsNotReadyFailsTheWork(t *testing.T) {
	for _, shell := range shells() {
		for name, ready := range map[string]string{"says no": "exit 1", "hangs": "exec sleep 600"} {
			t.Run(shell+" "+name, func(t *testing.T) {
				t.Parallel()
				service := aService()
				service.Ready, service.Within = ready, contract.Duration(time.Second)
				s := newSite(t, contract.Work{Services: []contract.Service{service}}, shellScript(`touch "$DIR/started"`))
				code, stdout, stderr := s.run(shell)
				if code != 177 || stdout != "" || !strings.Contains(stderr, "service db was not ready within 1 s\n") || !strings.Contains(stderr, "[db] it's me\n") {
					t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
				}
				if _, err := os.Stat(filepath.Join(s.dir, "started")); err == nil {
					t.Error("the program was started")
				}
			})
		}
	}
}

func TestACancelReachesTheProgramAndNotItsServices(t *testing.T) {
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			cmd := shellScript(`trap 'sleep 0.3; test -f "$DIR/ended" && exit 1; echo polite; exit 9' TERM; touch "$DIR/runs"; while :; do sleep 0.05; done`)
			s := newSite(t, contract.Work{Services: []contract.Service{aService()}}, cmd)
			p := s.start(shell)
			s.until("runs")
			if err := syscall.Kill(-p.Process.Pid, syscall.SIGTERM); err != nil { // as the runner does
				t.Fatal(err)
			}
			if code := s.end(p); code != 9 || p.stdout.String() != "polite\n" || !strings.Contains(p.stderr.String(), "[db] bye\n") {
				t.Errorf("exit code %d, printed %q and %q", code, p.stdout.String(), p.stderr.String())
			}
		})
	}
}

func TestACancelEndsTheWaitForAService(t *testing.T) {
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			service := aService()
			service.Ready = `touch "$DIR/asked"; exit 1`
			s := newSite(t, contract.Work{Services: []contract.Service{service}}, shellScript(`touch "$DIR/started"`))
			p := s.start(shell)
			s.until("asked")
			if err := syscall.Kill(-p.Process.Pid, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if code := s.end(p); code != 143 {
				t.Errorf("exit code %d, printed %q", code, p.stderr.String())
			}
			if _, err := os.Stat(filepath.Join(s.dir, "started")); err == nil {
				t.Error("the program was started")
			}
		})
	}
}

func anImage(push bool) contract.Image {
	return contract.Image{
		Context: "web app", Dockerfile: "Dockerfile.prod", Target: "run", Push: push, Tags: []string{"example.com/shop:1", "example.com/shop:2"},
		Args: map[string]string{"B": "two words; $HOME", "A": "--tag=no"},
	}
}

func TestAnImageIsBuiltByTheEngineThatThereIs(t *testing.T) {
	const options = `<--file=./web app/Dockerfile.prod><--target=run><--build-arg=A=--tag=no><--build-arg=B=two words; $HOME>` +
		`<--tag=example.com/shop:1><--tag=example.com/shop:2><./web app>`
	pushed := func(engine string) []string {
		return []string{"<" + engine + "><push><example.com/shop:1>", "<" + engine + "><push><example.com/shop:2>"}
	}
	tests := map[string]struct {
		stubs map[string]string
		push  bool
		code  int
		want  []string
	}{
		"docker with buildx":       {map[string]string{"docker": "", "podman": ""}, false, 0, []string{"<docker><buildx><version>", "<docker><buildx><build><--load>" + options}},
		"docker with buildx, push": {map[string]string{"docker": ""}, true, 0, []string{"<docker><buildx><version>", "<docker><buildx><build><--push>" + options}},
		"docker":                   {map[string]string{"docker": `[ "$1" != buildx ]`, "podman": ""}, true, 0, append([]string{"<docker><buildx><version>", "<docker><build>" + options}, pushed("docker")...)},
		"podman":                   {map[string]string{"podman": "", "buildah": ""}, true, 0, append([]string{"<podman><build>" + options}, pushed("podman")...)},
		"buildah":                  {map[string]string{"buildah": ""}, false, 0, []string{"<buildah><build>" + options}},
		"a build that fails":       {map[string]string{"podman": "exit 5"}, true, 5, []string{"<podman><build>" + options}},
		"a push that fails":        {map[string]string{"podman": `[ "$1" = build ] || exit 6`}, true, 6, []string{"<podman><build>" + options, pushed("podman")[0]}},
		"none":                     {nil, true, 178, []string{""}},
	}
	for name, test := range tests {
		for _, shell := range shells() {
			t.Run(name+" "+shell, func(t *testing.T) {
				image := anImage(test.push)
				s := newSite(t, contract.Work{}, contract.Command{Image: &image})
				for stub, script := range test.stubs {
					s.stub(stub, script)
				}
				code, stdout, stderr := s.run(shell)
				if code != test.code || stdout != "" {
					t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
				}
				if diff := cmp.Diff(test.want, s.calls()); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestADeploymentIsAppliedAndWaitedFor(t *testing.T) {
	full := contract.Deploy{Kustomize: "deploy/a b", Namespace: "shop", Rollout: []string{"deployment/shop", "statefulset/db"}}
	tests := map[string]struct {
		deploy  contract.Deploy
		timeout time.Duration
		kubectl string // "none" where there is none
		code    int
		want    []string
	}{
		"all": {full, time.Hour, "", 0, []string{
			"<kubectl><apply><--namespace=shop><-k><./deploy/a b>", "<kubectl><rollout><status><--namespace=shop><--timeout=1h0m0s><deployment/shop>",
			"<kubectl><rollout><status><--namespace=shop><--timeout=1h0m0s><statefulset/db>",
		}},
		"the least":            {contract.Deploy{Kustomize: "deploy"}, 0, "", 0, []string{"<kubectl><apply><-k><./deploy>"}},
		"one that is refused":  {full, 0, "exit 3", 3, []string{"<kubectl><apply><--namespace=shop><-k><./deploy/a b>"}},
		"one that never comes": {full, 0, `[ "$1" = apply ]`, 1, []string{"<kubectl><apply><--namespace=shop><-k><./deploy/a b>", "<kubectl><rollout><status><--namespace=shop><deployment/shop>"}},
		"no kubectl":           {full, 0, "none", 179, []string{""}},
	}
	for name, test := range tests {
		for _, shell := range shells() {
			t.Run(name+" "+shell, func(t *testing.T) {
				cmd := contract.Command{Deploy: &test.deploy, Timeout: contract.Duration(test.timeout), Credentials: []string{"KUBECONFIG"}}
				s := newSite(t, contract.Work{}, cmd)
				if test.kubectl != "none" {
					s.stub("kubectl", `cat "$KUBECONFIG" >"$DIR/seen"`+"\n"+test.kubectl)
				}
				code, stdout, stderr := s.run(shell)
				if code != test.code || stdout != "" {
					t.Errorf("exit code %d, printed %q and %q", code, stdout, stderr)
				}
				if diff := cmp.Diff(test.want, s.calls()); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				if slices.ContainsFunc(s.argv, func(arg string) bool { return strings.Contains(arg, "the: kubeconfig") }) {
					t.Errorf("the credential is in %q", s.argv)
				}
				if test.kubectl == "none" {
					return
				}
				seen, err := os.ReadFile(filepath.Join(s.dir, "seen"))
				info, statErr := os.Stat(filepath.Join(s.dir, "home", ".kubeconfig"))
				if err := errors.Join(err, statErr); err != nil || strings.TrimSpace(string(seen)) != "the: kubeconfig" || info.Mode().Perm() != 0o600 {
					t.Errorf("kubectl saw %q in %v: %v", seen, info, err)
				}
			})
		}
	}
}

func TestNoValueIsPartOfAScript(t *testing.T) {
	image := anImage(true)
	for name, s := range map[string]*site{
		"services": newSite(t, contract.Work{Services: []contract.Service{{Name: "needle", Script: "needle", Ready: "needle"}}}, shellScript("needle")),
		"image":    newSite(t, contract.Work{}, contract.Command{Image: &image}),
		"deploy":   newSite(t, contract.Work{}, contract.Command{Deploy: &contract.Deploy{Kustomize: "needle", Namespace: "needle", Rollout: []string{"needle"}}}),
	} {
		if s.argv[0] != "/bin/sh" || s.argv[1] != "-c" || strings.Contains(s.argv[2], "needle") || strings.Contains(s.argv[2], "example.com") {
			t.Errorf("%s: %q", name, s.argv)
		}
	}
}

func TestExitCodesOfRdevsScriptsAreSaid(t *testing.T) {
	service := contract.Work{MaxAttempts: 1, Services: []contract.Service{aService()}}
	image, deploy := anImage(true), contract.Deploy{Kustomize: "x"}
	plain := contract.Work{MaxAttempts: 3}
	tests := map[string]struct {
		work  contract.Work
		cmd   contract.Command
		code  int
		class contract.FailureClass
		says  string
	}{
		"a service":         {service, sleepFor(), 177, contract.ClassUser, "a service was not ready"},
		"no engine":         {plain, contract.Command{Image: &image}, 178, contract.ClassInfrastructure, "no engine"},
		"no kubectl":        {plain, contract.Command{Deploy: &deploy}, 179, contract.ClassInfrastructure, "no kubectl"},
		"a program's 177":   {contract.Work{MaxAttempts: 1}, sleepFor(), 177, contract.ClassUser, "exit code 177"},
		"a program's 178":   {contract.Work{MaxAttempts: 1}, sleepFor(), 178, contract.ClassUser, "exit code 178"},
		"a program's 179":   {service, sleepFor(), 179, contract.ClassUser, "exit code 179"},
		"an engine's other": {contract.Work{MaxAttempts: 1}, contract.Command{Image: &image}, 179, contract.ClassUser, "exit code 179"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w, e := newWork(t, test.work, test.cmd, program{exit: domain.Exit{Known: true, Code: test.code}})
			w.take(t, e, worker)
			if f := w.op.Failure; w.op.State != contract.Failed || f.Class != test.class || !strings.Contains(f.Message, test.says) {
				t.Errorf("%s: %+v", w.op.State, f)
			}
		})
	}
}

func TestTheScriptOfAStepEndsWithItsFirstCommandThatFails(t *testing.T) {
	for _, shell := range shells() {
		cmd := contract.Command{Shell: &contract.Shell{Script: "echo one\ncat none\necho two"}}
		code, stdout, _ := newSite(t, contract.Work{Step: &contract.StepOf{Build: "b", Step: "test"}}, cmd).run(shell)
		if code == 0 || stdout != "one\n" {
			t.Errorf("%s: as a step it exits with %d after %q", shell, code, stdout)
		}
		code, stdout, _ = newSite(t, contract.Work{}, cmd).run(shell)
		if code != 0 || stdout != "one\ntwo\n" {
			t.Errorf("%s: as work it exits with %d after %q", shell, code, stdout)
		}
	}
}
