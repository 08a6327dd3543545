package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
)

// Files is the store of files, for reading.
type Files interface {
	// Get opens the file under a key, and tells its size; contract.ErrNotFound.
	Get(ctx context.Context, key string) (body io.ReadCloser, size int64, err error)
}

// artifact is a file that an operation left, as the API shows it.
type artifact struct {
	contract.Artifact
	Step      string `json:"step,omitempty"` // of a build
	Operation string `json:"operation"`
	Link      string `json:"link"`
}

func artifactsOf(op contract.Operation) []artifact {
	all := []artifact{}
	if op.Result == nil {
		return all
	}
	step := ""
	if op.Work != nil && op.Work.Step != nil {
		step = op.Work.Step.Step
	}
	for _, a := range op.Result.Artifacts {
		link := url.URL{Path: "/operations/" + op.ID + "/artifacts/" + a.Path}
		all = append(all, artifact{Artifact: a, Step: step, Operation: op.ID, Link: link.EscapedPath()})
	}
	return all
}

func (h *handlers) listArtifacts(w http.ResponseWriter, r *http.Request) error {
	op, err := h.seenOperation(r)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, map[string]any{"artifacts": artifactsOf(op)})
	return nil
}

// seenOperation is the operation in the path, which the request's key may see.
func (h *handlers) seenOperation(r *http.Request) (contract.Operation, error) {
	id, err := operationID(r)
	if err != nil {
		return contract.Operation{}, err
	}
	return h.loadSeen(r.Context(), r, id)
}

// listBuildArtifacts lists those of all steps, in their order.
func (h *handlers) listBuildArtifacts(w http.ResponseWriter, r *http.Request) error {
	op, err := h.loadBuild(r.Context(), r)
	if err != nil {
		return err
	}
	all := []artifact{}
	for _, step := range op.Build.Steps {
		if step.State != contract.StepCompleted || len(step.Files.Artifacts) == 0 {
			continue
		}
		of, err := h.load(r.Context(), step.Operation)
		if err != nil {
			return err
		}
		for _, a := range artifactsOf(of) {
			a.Step = step.Name
			all = append(all, a)
		}
	}
	api.Write(w, http.StatusOK, map[string]any{"artifacts": all})
	return nil
}

// getArtifact answers a file as it was left. A response that breaks off has fewer bytes
// than Content-Length says.
func (h *handlers) getArtifact(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	op, err := h.seenOperation(r.WithContext(ctx))
	if err != nil {
		return err
	}
	// That of the router is escaped or not, as the whole path may have been written.
	name := strings.TrimPrefix(r.URL.Path, "/operations/"+op.ID+"/artifacts/")
	for _, a := range artifactsOf(op) {
		if a.Path == name {
			return h.sendArtifact(w, r, op.Project, a.Artifact)
		}
	}
	return &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("operation %s left no artifact %q", op.ID, name)}
}

func (h *handlers) sendArtifact(w http.ResponseWriter, r *http.Request, project string, a contract.Artifact) error {
	digest := strings.TrimPrefix(a.Digest, "sha256:")
	tag, header := strconv.Quote(digest), w.Header()
	if strings.Contains(r.Header.Get("If-None-Match"), tag) { // which may be weak, and one of many
		header.Set("ETag", tag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body, size, err := h.openArtifact(r.Context(), project, a)
	if err != nil {
		return err
	}
	defer body.Close()
	header.Set("ETag", tag)
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Length", strconv.FormatInt(size, 10))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(a.Path)}))
	if sum, err := hex.DecodeString(digest); err == nil {
		header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.Copy(patient{w, http.NewResponseController(w)}, body); err != nil {
		panic(http.ErrAbortHandler) // what is cut off must not look like the end
	}
	return nil
}

func (h *handlers) openArtifact(ctx context.Context, project string, a contract.Artifact) (body io.ReadCloser, size int64, err error) {
	body, size, err = h.Files.Get(ctx, contract.ArtifactKey(project, a.Digest))
	_, known := errors.AsType[*contract.Error](err)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return nil, 0, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("artifact %q is not kept any more", a.Path)}
	case err != nil && !known && ctx.Err() == nil:
		h.Logger.Error("the store of files cannot be read", "error", err)
		return nil, 0, &contract.Error{Code: contract.CodeUnavailable, Detail: "the store of files cannot be read just now"}
	}
	return body, size, err
}

// patient writes for as long as the client goes on reading.
type patient struct {
	w       io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (p patient) Write(data []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(timeoutStalled)); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	return p.w.Write(data)
}
