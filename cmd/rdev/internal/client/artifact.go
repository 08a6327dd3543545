package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Artifact is a file that an operation left. It writes itself as the JSON that the
// gateway sent.
type Artifact struct {
	contract.Artifact

	Step      string `json:"step"`      // of a build, "" for none
	Operation string `json:"operation"` // that left it

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (a *Artifact) UnmarshalJSON(data []byte) error {
	type plain Artifact
	return readDocument(data, (*plain)(a), &a.raw)
}

// MarshalJSON writes the document as it came.
func (a Artifact) MarshalJSON() ([]byte, error) {
	type plain Artifact
	return writeDocument(a.raw, plain(a))
}

// Artifacts are what an operation left, by path.
func (c *Client) Artifacts(ctx context.Context, id string) ([]Artifact, error) {
	return c.artifacts(ctx, operationPath(id))
}

// BuildArtifacts are what the steps of a build left, in the order of the steps.
func (c *Client) BuildArtifacts(ctx context.Context, id string) ([]Artifact, error) {
	return c.artifacts(ctx, buildPath(id))
}

func (c *Client) artifacts(ctx context.Context, of string) ([]Artifact, error) {
	var answer struct {
		Artifacts []Artifact `json:"artifacts"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: of + "/artifacts"}, &answer)
	return answer.Artifacts, err
}

// SpoiltError is returned for an artifact that did not arrive as it was left.
type SpoiltError struct {
	Path      string
	Got, Want string // sizes or digests
}

// Error says what is different.
func (e *SpoiltError) Error() string {
	return fmt.Sprintf("artifact %s is not as it was left: it has %s, and should have %s", e.Path, e.Got, e.Want)
}

// FetchArtifact reads an artifact into what begin opens, which is called again where the
// connection broke and all of it is read once more. What was written counts only where
// there is no error: a *SpoiltError where it is not what the artifact says.
func (c *Client) FetchArtifact(ctx context.Context, artifact Artifact, begin func() (io.Writer, error)) error {
	for try := 1; ; try++ {
		w, err := begin()
		if err != nil {
			return err
		}
		if err = c.fetchOnce(ctx, artifact, w); err == nil {
			return nil
		}
		delay, again := c.again(ctx, try, err)
		if !again {
			return err
		}
		if err := pause(ctx, delay); err != nil {
			return err
		}
	}
}

func (c *Client) fetchOnce(ctx context.Context, artifact Artifact, w io.Writer) error {
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	watchdog := time.AfterFunc(c.config.Idle, func() { hangUp(errSilent) })
	defer watchdog.Stop()
	request, err := c.request(ctx, http.MethodGet, artifactPath(artifact), nil, nil)
	if err != nil {
		return err
	}
	response, err := c.streams.Do(request)
	if err != nil {
		return c.cut(ctx, err)
	}
	defer response.Body.Close()
	body := watched{response.Body, watchdog, c.config.Idle}
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(body, maxBody))
		if err != nil {
			return c.cut(ctx, err)
		}
		return parseProblem(response.StatusCode, response.Header, text)
	}
	return c.take(ctx, artifact, body, w)
}

// take copies the bytes of an artifact, and checks them.
func (c *Client) take(ctx context.Context, artifact Artifact, body io.Reader, w io.Writer) error {
	sum := sha256.New()
	kept := &keeper{w: w}
	n, err := io.Copy(io.MultiWriter(kept, sum), io.LimitReader(body, artifact.Size+1))
	switch {
	case kept.err != nil:
		return kept.err
	case err == nil && n < artifact.Size:
		err = io.ErrUnexpectedEOF
	case n > artifact.Size:
		return &SpoiltError{artifact.Path, "more bytes", strconv.FormatInt(artifact.Size, 10)}
	}
	if err != nil {
		return c.cut(ctx, err)
	}
	if digest := "sha256:" + hex.EncodeToString(sum.Sum(nil)); digest != artifact.Digest {
		return &SpoiltError{artifact.Path, digest, artifact.Digest}
	}
	return nil
}

// keeper is a writer that knows the error of a write from that of a read.
type keeper struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (k *keeper) Write(data []byte) (int, error) {
	n, err := k.w.Write(data)
	if err != nil {
		k.err = err
	}
	return n, err
}

// artifactPath is where an artifact is fetched.
func artifactPath(artifact Artifact) string {
	parts := strings.Split(artifact.Path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return operationPath(artifact.Operation) + "/artifacts/" + strings.Join(parts, "/")
}
