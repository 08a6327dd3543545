//go:build cluster

package deploy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testcluster"
	"github.com/orchard9/rdev/libs/testkit"
)

// storeFiles starts an S3 server on this machine, and makes the secret with its key.
func (i *installation) storeFiles(t *testing.T) {
	t.Helper()
	server := testkit.S3At(t, testcluster.HostIP+":443")
	i.kubectl(t, nil, "create", "secret", "generic", "rdev-files", "--namespace", services, "--from-file", "key="+server.KeyFile)
}

// passOn is a build whose second step wants what its first one left, and what that cached.
const passOn = `
steps:
  - name: make
    run: |
      head -c 3000000 /dev/urandom > big; sha256sum < big | cut -d' ' -f1
      mkdir -p site/css; echo '<h1>' > site/index.html; echo 'h1 {}' > "site/css/a b.css"; printf '#!/bin/sh\necho ran\n' > tool; chmod +x tool
      mkdir -p ~/cache/deep; echo kept > ~/cache/deep/file; chmod 555 ~/cache/deep
    artifacts: [big, site, tool]
    cache: [{key: things, paths: [~/cache]}]
  - name: use
    needs: [make]
    run: |
      cd "$RDEV_INPUTS/make"; sha256sum < big | cut -d' ' -f1; "./tool"; cat site/index.html "site/css/a b.css"; cat ~/cache/deep/file
    cache: [{key: things, paths: [~/cache]}]
`

// filesOfABuild goes from a pod into the store, from there into another, and over HTTP.
func (i *installation) filesOfABuild(t *testing.T) {
	url := i.address(t)
	api := dial(t, url, i.key)
	body, err := json.Marshal(map[string]string{"project": "red", "spec": passOn})
	if err != nil {
		t.Fatal(err)
	}
	var build struct{ ID string }
	call(t, http.MethodPost, url+"/builds", i.key, string(body), &build)
	ended(t, api, build.ID, contract.Completed)
	made, used := printed(t, api, contract.StepOperation(build.ID, 0)), printed(t, api, contract.StepOperation(build.ID, 1))
	if want := made + "ran\n<h1>\nh1 {}\nkept\n"; len(made) != 65 || used != want {
		t.Errorf("the second step found\n%s, want\n%s", used, want)
	}
	var list struct {
		Artifacts []struct {
			Path, Link string
			Digest     string
		}
	}
	call(t, http.MethodGet, url+"/builds/"+build.ID+"/artifacts", i.key, "", &list)
	if len(list.Artifacts) != 3 {
		t.Fatalf("it left %+v", list.Artifacts)
	}
	for _, artifact := range list.Artifacts {
		sum := sha256.Sum256(fetched(t, url+artifact.Link, i.key))
		if got := "sha256:" + hex.EncodeToString(sum[:]); got != artifact.Digest {
			t.Errorf("%s is %s, want %s", artifact.Path, got, artifact.Digest)
		}
		if artifact.Path == "big" && artifact.Digest != "sha256:"+strings.TrimSpace(made) {
			t.Errorf("big is %s, and was %s", artifact.Digest, made)
		}
	}
}

// fetched is a file over HTTP.
func fetched(t *testing.T, url, key string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", key)
	client := &http.Client{Timeout: testkit.Patience}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	_, err = all.ReadFrom(response.Body)
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, all.Bytes())
	}
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}
