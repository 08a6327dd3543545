package gatewaytest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// contentOf is what an artifact holds: its path, and of one that ends with "/", which is a
// directory, a tar file with a file, a script and a link; of "evil/" one that leads out.
func contentOf(path string) []byte {
	name, dir := strings.CutSuffix(path, "/")
	if !dir {
		return []byte("the content of " + path + "\n")
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(header tar.Header, text string) {
		header.Size = int64(len(text))
		_ = w.WriteHeader(&header)
		_, _ = w.Write([]byte(text))
	}
	if name == "evil" {
		add(tar.Header{Name: "../../out", Typeflag: tar.TypeReg, Mode: 0o644}, "out\n")
	}
	add(tar.Header{Name: "sub/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	add(tar.Header{Name: "sub/page.html", Typeflag: tar.TypeReg, Mode: 0o644}, "a page\n")
	add(tar.Header{Name: "start", Typeflag: tar.TypeReg, Mode: 0o755}, "#!/bin/sh\necho started\n")
	add(tar.Header{Name: "index.html", Typeflag: tar.TypeSymlink, Linkname: "sub/page.html"}, "")
	_ = w.Close()
	return out.Bytes()
}

// leave has an operation leave what it was asked to. What is in bin/ may be carried out.
func (o *operation) leave() {
	var all []contract.Artifact
	for _, path := range o.now.Work.Files.Artifacts {
		content := contentOf(path)
		name, dir := strings.CutSuffix(path, "/")
		if dir {
			name += ".tar"
		}
		all = append(all, contract.Artifact{
			Path: name, Size: int64(len(content)), Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)), Dir: dir, Exec: strings.HasPrefix(path, "bin/"),
		})
	}
	if len(all) > 0 {
		o.now.Result = &contract.Result{Artifacts: all}
	}
}

// listArtifacts lists what an operation left, or what all steps of a build did.
func (g *Gateway) listArtifacts(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op := g.find(r.PathValue("id"))
	if op == nil {
		notFound(w, "operation", r.PathValue("id"))
		return
	}
	type artifact struct {
		contract.Artifact

		Step      string `json:"step,omitempty"`
		Operation string `json:"operation"`
		Link      string `json:"link"`
	}
	all := []artifact{}
	list := func(op *operation, step string) {
		if op.now.Result == nil {
			return
		}
		for _, a := range op.now.Result.Artifacts {
			link := url.URL{Path: "/operations/" + op.now.ID + "/artifacts/" + a.Path}
			all = append(all, artifact{a, step, op.now.ID, link.EscapedPath()})
		}
	}
	switch {
	case op.now.Build != nil:
		for _, step := range op.now.Build.Steps {
			if step.State == contract.StepCompleted {
				list(g.find(step.Operation), step.Name)
			}
		}
	case op.now.Work != nil && op.now.Work.Step != nil:
		list(op, op.now.Work.Step.Step)
	default:
		list(op, "")
	}
	answer(w, http.StatusOK, map[string]any{"artifacts": all})
}

// getArtifact answers a file; one whose path has "spoilt" in it is not as it was left, and
// the first answer of one with "torn" breaks off.
func (g *Gateway) getArtifact(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	path, op := r.PathValue("path"), g.find(r.PathValue("id"))
	if op == nil || op.now.Result == nil || !slices.ContainsFunc(op.now.Result.Artifacts, func(a contract.Artifact) bool { return a.Path == path }) {
		problem(w, http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("operation %s left no artifact %q", r.PathValue("id"), path))
		return
	}
	content := contentOf(path)
	if dir, packed := strings.CutSuffix(path, ".tar"); packed {
		content = contentOf(dir + "/")
	}
	if strings.Contains(path, "spoilt") {
		content[0]++
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if strings.Contains(path, "torn") && !g.torn[path] {
		g.torn[path] = true
		_, _ = w.Write(content[:len(content)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(content)
}
