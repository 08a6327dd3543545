package git

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

const (
	fetchService = "git-upload-pack"
	pushService  = "git-receive-pack"
	infoRefs     = "info/refs"
)

const (
	// requestTimeout bounds one request, a large clone included.
	requestTimeout = 2 * time.Hour
	// maxFetch is what a client may say of what it has and wants, in bytes. git keeps it in
	// memory.
	maxFetch = 10 << 20
	// pushOverhead is what a push may have beside its pack, so that git is the one who
	// finds a pack too large: it says so better.
	pushOverhead = 16 << 20
)

// request is one of smart HTTP.
type request struct {
	slug    string
	rest    string // of the path
	service string
}

// requestOf reads a request; ok is false where it is none of smart HTTP. Whether there is
// such a project it does not know.
func requestOf(r *http.Request) (q request, ok bool) {
	name, rest, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	slug, git := strings.CutSuffix(name, ".git")
	q = request{slug: slug, rest: rest, service: rest}
	method := http.MethodPost
	if rest == infoRefs {
		q.service, method = r.URL.Query().Get("service"), http.MethodGet
	}
	known := q.service == fetchService || q.service == pushService
	return q, found && git && known && r.Method == method && domain.ValidSlug(slug)
}

// Handler serves the repositories to git, at /<slug>.git. All of it needs the token of the
// project, as the password; without it what is not there cannot be told from what is.
// The server's ResponseWriter has to support http.ResponseController.
func (f *Forge) Handler() http.Handler { return http.HandlerFunc(f.serve) }

func (f *Forge) serve(w http.ResponseWriter, r *http.Request) {
	q, ok := requestOf(r)
	if !ok {
		http.Error(w, "this is served to git alone, by its smart protocol", http.StatusNotFound)
		return
	}
	_, token, _ := r.BasicAuth()
	if !f.admits(q.slug, token) {
		w.Header().Set("WWW-Authenticate", `Basic realm="rdev"`)
		http.Error(w, "the token of the project is needed, as the password", http.StatusUnauthorized)
		return
	}
	if encoding := r.Header.Get("Content-Encoding"); !slices.Contains([]string{"", "gzip", "x-gzip"}, encoding) {
		http.Error(w, "the body is encoded neither by gzip nor at all", http.StatusUnsupportedMediaType)
		return
	}
	if r.ContentLength > f.maxBody(q) {
		http.Error(w, "more than "+strconv.FormatInt(f.maxBody(q), 10)+" bytes are not taken at once", http.StatusRequestEntityTooLarge)
		return
	}
	if !f.turn(r.Context()) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many use git at the moment; try again", http.StatusServiceUnavailable)
		return
	}
	defer func() { <-f.turns }()
	name, err := f.where(r.Context(), q.slug)
	if err != nil || name == "" {
		f.logger.Warn("a repository cannot be served", "project", q.slug, "error", err)
		http.Error(w, "the repository cannot be served", http.StatusInternalServerError)
		return
	}
	f.answer(w, r, q, name)
}

// maxBody is the most that the body of a request may have, in bytes.
func (f *Forge) maxBody(q request) int64 {
	if q.service == pushService {
		return f.maxPush + pushOverhead
	}
	return maxFetch
}

// turn waits for the turn of a request, for a while.
func (f *Forge) turn(ctx context.Context) bool {
	timer := time.NewTimer(f.turnTimeout)
	defer timer.Stop()
	select {
	case f.turns <- struct{}{}:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}
