// Package woodpecker has the CI of the operator's, a Woodpecker server, run the pipelines
// of projects, and tells of them.
//
// The CI has no place for a mark. So what is a project's there is told by the forge's id of
// its repository, which the CI keeps: one that has another id, be its name the same, is
// somebody else's, and stays as it is. Of a repository's secrets only those are ever
// removed whose names rdev itself gives.
//
// The CI acts on the forge as the user of its token, who has to be an admin of the
// repositories; where the forge does not know that user any more, only a login helps.
package woodpecker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

const (
	// requestTimeout is long: the CI asks the forge before it answers.
	requestTimeout = 30 * time.Second
	connectTimeout = 10 * time.Second
	// maxAnswer is the most that an answer may have, in bytes.
	maxAnswer = 32 << 20
	// patience is the longest that is waited because the CI asks for it, pause what is
	// between two tries.
	patience = 5 * time.Second
	pause    = 250 * time.Millisecond
)

// Server implements app.CI and app.Pipelines.
type Server struct {
	base   string // without a slash at its end
	token  string
	client *http.Client
}

// New takes the address of the CI and the personal token of its user. It does not connect.
func New(address, token string) (*Server, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		// The cause would repeat the address, which may have a password in it.
		return nil, errors.New("the address is not of the form https://ci.example.com")
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, errors.New("the token is empty, or has characters that no token has")
	}
	return &Server{
		base:  strings.TrimRight(parsed.String(), "/"),
		token: token,
		client: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{ // and no proxy
				DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
				TLSHandshakeTimeout: connectTimeout,
				IdleConnTimeout:     time.Minute,
			},
			// A redirect would carry the token to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// repository is one as the CI has it.
type repository struct {
	ID            int64  `json:"id"`
	ForgeRemoteID string `json:"forge_remote_id"`
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
	Active        bool   `json:"active"`
}

func repositoryPath(id int64) string { return "/api/repos/" + strconv.FormatInt(id, 10) }

// lookup finds the CI's repository of a full name.
func (s *Server) lookup(ctx context.Context, name string) (found repository, ok bool, err error) {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		if segment == "" || segment == "." || segment == ".." || len(segments) < 2 {
			return found, false, fmt.Errorf("%q is not the full name of a repository", name)
		}
		segments[i] = url.PathEscape(segment)
	}
	err = s.get(ctx, "/api/repos/lookup/"+strings.Join(segments, "/"), nil, &found)
	if isStatus(err, http.StatusNotFound) {
		return found, false, nil
	}
	return found, err == nil, err
}

// find finds a repository by its name, and only where it is the one of that id on the
// forge. With foreign, there is another one.
func (s *Server) find(ctx context.Context, r app.Repository) (found repository, ok, foreign bool, err error) {
	found, ok, err = s.lookup(ctx, r.Name)
	if err != nil {
		return found, false, false, fmt.Errorf("look for %s in the CI: %w", r.Name, err)
	}
	if ok && r.ID != "" && found.ForgeRemoteID != r.ID {
		return found, false, true, nil
	}
	return found, ok, false, nil
}

// Plan implements app.CI.
func (s *Server) Plan(ctx context.Context) error {
	var user struct {
		Login string `json:"login"`
	}
	if err := s.get(ctx, "/api/user", nil, &user); err != nil {
		return fmt.Errorf("ask the CI who its user is: %w", err)
	}
	if user.Login == "" {
		return failure(contract.ClassUser, "the CI does not say who its user is: is PROVISIONER_WOODPECKER_URL its address?")
	}
	return nil
}

// Known implements app.CI. One that has a secret of a name of ours would lose it, and one for
// which no pipelines run would have some.
func (s *Server) Known(ctx context.Context, name string) (bool, error) {
	found, ok, err := s.lookup(ctx, name)
	switch {
	case err != nil:
		return false, fmt.Errorf("look for %s in the CI: %w", name, err)
	case !ok:
		return false, nil
	case !found.Active:
		return true, failure(contract.ClassUser, "the CI has %s, and runs no pipelines for it: activate it there, or make the project without CI", name)
	}
	for _, secret := range names() {
		_, there, err := s.secret(ctx, found, secret)
		if err != nil {
			return true, fmt.Errorf("look for the secret %s of %s in the CI: %w", secret, name, err)
		}
		if there {
			return true, failure(contract.ClassUser, "the CI has a secret %s of %s, which is not this project's: rename it there, or make the project without CI", secret, name)
		}
	}
	return true, nil
}

// failure is an error that somebody can mend.
func failure(class contract.FailureClass, format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(class, format, args...)}
}
