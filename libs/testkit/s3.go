package testkit

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// S3Server is an S3 server with a bucket that is empty.
type S3Server struct {
	URL     string // of the bucket, as RDEV_FILES names it
	KeyFile string // as RDEV_FILES_KEY_FILE names it
	Dir     string // where the objects of the bucket are files
}

// s3Program is the path of the server's program, built once from libs/tools/versitygw
// into the cache of the go command.
var s3Program = sync.OnceValues(buildS3)

// S3 is an S3 server that ends with the test, or with the process of the test. Its
// program is built first where the cache does not have it, which takes a minute.
func S3(t testing.TB) S3Server {
	t.Helper()
	return S3At(t, FreeAddress(t))
}

// S3At is S3 at an address of this machine.
func S3At(t testing.TB, address string) S3Server {
	t.Helper()
	program, err := s3Program()
	if err != nil {
		t.Fatal(err)
	}
	const bucket = "files"
	root, meta, id, secret := t.TempDir(), t.TempDir(), rand.Text(), rand.Text()
	server := S3Server{
		URL:     "s3://" + bucket + "?endpoint=" + address + "&region=us-east-1&tls=false&path_style=true",
		KeyFile: filepath.Join(root, "key"), Dir: filepath.Join(root, "buckets", bucket),
	}
	if err := errors.Join(os.MkdirAll(server.Dir, 0o700), os.WriteFile(server.KeyFile, []byte(id+"\n"+secret+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	// The shell ends the server when its standard input ends, which it does with this
	// process however that ends.
	var output bytes.Buffer
	cmd := exec.Command("sh", "-c", `"$@" & read -r end; kill $! && wait $!`, "sh", program,
		"--port", address, "--health", "/health", "--quiet", "posix", "--sidecar", meta, "--disableotmp", filepath.Dir(server.Dir))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+id, "ROOT_SECRET_KEY="+secret)
	cmd.Stdout, cmd.Stderr = &output, &output
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = lifeline.Close()
		_ = cmd.Wait() // it was told to end
		if t.Failed() {
			t.Logf("the S3 server said:\n%s", &output)
		}
	})
	client := &http.Client{Timeout: time.Second}
	Eventually(t, func() error {
		response, err := client.Get("http://" + address + "/health")
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
	return server
}

// buildS3 has the go command tell where it keeps the program, which it builds where
// it has none.
func buildS3() (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	var output, problem strings.Builder
	cmd := exec.Command("nice", "-n", "5", "go", "tool", "-n", "versitygw")
	cmd.Dir, cmd.Env = filepath.Join(root, "libs/tools/versitygw"), append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = &output, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the S3 server of the tests: %w\n%s", err, &problem)
	}
	return strings.TrimSpace(output.String()), nil
}

// repository is the directory with go.work.
func repository() (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
			return root, nil
		}
		if root == filepath.Dir(root) {
			return "", errors.New("no go.work in the working directory or above")
		}
	}
}
