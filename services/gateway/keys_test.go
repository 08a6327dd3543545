package gateway_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// apiKey is what a client reads of a key.
type apiKey struct {
	ID, Name, State, Prefix, Secret  string
	Scopes, Projects                 []string
	AllowedIPs                       []string `json:"allowed_ips"`
	CreatedBy                        string   `json:"created_by"`
	ExpiresAt, RevokedAt, LastUsedAt *time.Time
	OldPrefix                        *string `json:"old_prefix"`
}

// newKey makes a key with the rights of the first.
func (w *world) newKey(body string) apiKey {
	w.t.Helper()
	var key apiKey
	w.send(call{path: "/keys", body: body}).decode(w.t, http.StatusCreated, &key)
	return key
}

func (a answer) empty(t *testing.T) {
	t.Helper()
	if a.err != nil || a.status != http.StatusNoContent || len(a.body) > 0 {
		t.Fatalf("status %d, error %v, body %s; want 204", a.status, a.err, a.body)
	}
}

// works tells with what a key is answered.
func (w *world) works(url, secret string) (int, contract.Code) {
	w.t.Helper()
	a := w.send(call{url: url, method: http.MethodGet, path: "/keys/self", key: secret})
	if a.status == http.StatusOK {
		return a.status, ""
	}
	var p problem
	a.decode(w.t, a.status, &p)
	return a.status, p.Code
}

// within checks that something is so after a second at the latest.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	begin := time.Now()
	for !is() {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%s: not after 20 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("%s: after %s", what, took)
	}
}

func TestTheLifeOfAKey(t *testing.T) {
	w := newWorld(t)
	a := w.send(call{path: "/keys", body: `{"name":"ci","scopes":["commands:run","keys:admin"],"projects":["ci-*"],"allowed_ips":["127.0.0.1"]}`})
	var key apiKey
	a.decode(t, http.StatusCreated, &key)
	if key.State != "active" || key.CreatedBy != "key:admin" || !strings.HasPrefix(key.Secret, key.Prefix) || a.header.Get("Location") != "/keys/"+key.ID || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v", a.body, a.header)
	}
	w.send(call{path: "/keys", body: `{"name":"ci","scopes":["commands:run"]}`}).problem(t, http.StatusConflict, contract.CodeConflict)
	if a := w.get("/keys/" + key.ID); bytes.Contains(a.body, []byte("secret")) || bytes.Contains(a.body, []byte("hash")) || a.status != http.StatusOK {
		t.Errorf("read: %d %s", a.status, a.body)
	}
	var rotated apiKey
	w.send(call{path: "/keys/" + key.ID + "/rotate", body: `{"overlap":"1h"}`}).decode(t, http.StatusOK, &rotated)
	if rotated.Secret == key.Secret || rotated.OldPrefix == nil || *rotated.OldPrefix != key.Prefix {
		t.Errorf("rotated %+v", rotated)
	}
	for name, secret := range map[string]string{"old": key.Secret, "new": rotated.Secret} {
		if status, code := w.works("", secret); status != http.StatusOK {
			t.Errorf("the %s secret within the overlap: %d %s", name, status, code)
		}
	}
	var again apiKey
	w.send(call{path: "/keys/" + key.ID + "/rotate", body: `{"overlap":"0s"}`}).decode(t, http.StatusOK, &again)
	for secret, want := range map[string]contract.Code{key.Secret: contract.CodeUnauthorized, rotated.Secret: contract.CodeKeyRevoked, again.Secret: ""} {
		if _, code := w.works("", secret); code != want {
			t.Errorf("after the second rotation: %q, want %q", code, want)
		}
	}
	w.send(call{method: http.MethodDelete, path: "/keys/" + key.ID}).empty(t)
	w.send(call{method: http.MethodDelete, path: "/keys/" + key.ID}).empty(t)
	w.send(call{path: "/keys/" + key.ID + "/rotate", body: `{}`}).problem(t, http.StatusConflict, contract.CodeConflict)
	if _, code := w.works("", again.Secret); code != contract.CodeKeyRevoked {
		t.Errorf("after it was revoked: %q", code)
	}
	w.newKey(`{"name":"ci","scopes":["commands:run"]}`) // the name is free again
}

func TestAKeyIsMadeOnceAndItsSecretToldOnce(t *testing.T) {
	w := newWorld(t)
	second, _ := w.start()
	header := map[string]string{"Idempotency-Key": "once"}
	post := call{path: "/keys", body: `{"name":"ci","scopes":["admin"]}`, header: header}
	var first, same apiKey
	w.send(post).decode(t, http.StatusCreated, &first)
	post.url = second
	a := w.send(post)
	a.decode(t, http.StatusCreated, &same)
	if same.ID != first.ID || same.Secret != "" || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the same request again: %s", a.body)
	}
	post.body = `{"name":"ci2","scopes":["admin"]}`
	w.send(post).problem(t, http.StatusConflict, contract.CodeIdempotencyMismatch)
	rotate := call{path: "/keys/" + first.ID + "/rotate", body: `{}`, header: map[string]string{"Idempotency-Key": "rotate once"}}
	var rotated, rotatedAgain apiKey
	reused := rotate
	reused.header = header
	w.send(reused).problem(t, http.StatusConflict, contract.CodeIdempotencyMismatch)
	w.send(rotate).decode(t, http.StatusOK, &rotated)
	w.send(rotate).decode(t, http.StatusOK, &rotatedAgain)
	if rotated.Secret == "" || rotatedAgain.Secret != "" || rotatedAgain.Prefix != rotated.Prefix {
		t.Errorf("rotated to %q, and again to %q", rotated.Prefix, rotatedAgain.Prefix)
	}
}

func TestABadKeyIsRefused(t *testing.T) {
	w := newWorld(t)
	for body, field := range map[string]string{
		`{"name":"","scopes":["admin"]}`:                                           "name",
		`{"name":"a\nb","scopes":["admin"]}`:                                       "name",
		`{"name":"x"}`:                                                             "scopes",
		`{"name":"x","scopes":["root"]}`:                                           "scopes[0]",
		`{"name":"x","scopes":["admin"],"projects":["A"]}`:                         "projects[0]",
		`{"name":"x","scopes":["admin"],"allowed_ips":["10.0.0.1","10.0.0.0/40"]}`: "allowed_ips[1]",
		`{"name":"x","scopes":["admin"],"expires_at":"2020-01-01T00:00:00Z"}`:      "expires_at",
	} {
		w.send(call{path: "/keys", body: body}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, field)
	}
	for _, body := range []string{`{"overlap":"x"}`, `{"overlap":"-1s"}`, `{"overlap":"721h"}`} {
		w.send(call{path: "/keys/" + unknownID + "/rotate", body: body}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "overlap")
	}
	for _, id := range []string{unknownID, "x", "..", "self2"} {
		w.send(call{method: http.MethodDelete, path: "/keys/" + url.PathEscape(id)}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
}

func TestAKeyGivesNoMoreThanItHas(t *testing.T) {
	w := newWorld(t)
	lead := w.newKey(`{"name":"lead","scopes":["keys:admin","commands:run"],"projects":["ci-*"]}`)
	strong := w.newKey(`{"name":"strong","scopes":["admin"],"projects":["ci-*"]}`)
	for _, body := range []string{
		`{"name":"a","scopes":["admin"],"projects":["ci-1"]}`, `{"name":"b","scopes":["commands:run"]}`, `{"name":"c","scopes":["commands:run"],"projects":["*"]}`,
		`{"name":"d","scopes":["commands:run"],"projects":["ci-1","shop"]}`, `{"name":"e","scopes":["operations:read"],"projects":["ci-1"]}`,
	} {
		w.send(call{path: "/keys", key: lead.Secret, body: body}).problem(t, http.StatusForbidden, contract.CodeScopeMissing)
	}
	var given apiKey
	w.send(call{path: "/keys", key: lead.Secret, body: `{"name":"given","scopes":["commands:run"],"projects":["ci-1","ci-x*"]}`}).decode(t, http.StatusCreated, &given)
	// A key that can do more is as if it were not there: its next secret would be a way up.
	for _, c := range []call{
		{path: "/keys/" + strong.ID + "/rotate", body: `{}`},
		{method: http.MethodDelete, path: "/keys/" + strong.ID},
		{method: http.MethodGet, path: "/keys/" + strong.ID},
	} {
		c.key = lead.Secret
		w.send(c).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
	var list struct {
		Keys       []apiKey
		NextCursor *string `json:"next_cursor"`
	}
	w.send(call{method: http.MethodGet, path: "/keys?limit=1", key: lead.Secret}).decode(t, http.StatusOK, &list)
	if len(list.Keys) != 1 || list.Keys[0].Name != "given" || list.NextCursor == nil {
		t.Fatalf("the first page: %+v", list)
	}
	w.send(call{method: http.MethodGet, path: "/keys?cursor=" + *list.NextCursor, key: lead.Secret}).decode(t, http.StatusOK, &list)
	if len(list.Keys) != 1 || list.Keys[0].Name != "lead" || list.NextCursor != nil {
		t.Errorf("the second page: %+v", list)
	}
}

func TestAChangeHoldsOnEveryGatewayWithinASecondAlsoWithoutTheDatabase(t *testing.T) {
	w := newWorld(t)
	second, _ := w.start()
	check := func(when string) {
		t.Helper()
		key := w.newKey(fmt.Sprintf(`{"name":"made %s","scopes":["admin"]}`, when))
		within(t, "a new key "+when, func() bool { status, _ := w.works(second, key.Secret); return status == http.StatusOK })
		w.send(call{method: http.MethodDelete, path: "/keys/" + key.ID}).empty(t)
		within(t, "a revoked key "+when, func() bool { _, code := w.works(second, key.Secret); return code == contract.CodeKeyRevoked })
	}
	check("with the database")
	forgotten := domain.NewSecret() // well formed, and nobody's
	kept := w.newKey(`{"name":"kept","scopes":["admin"]}`)
	restore := w.closeDatabase()
	check("without the database")

	// A gateway that starts now knows what the log knows, and calls nobody unknown.
	w.withoutTable = true
	third, _ := w.start()
	if status, code := w.works(third, kept.Secret); status != http.StatusOK {
		t.Errorf("a key on a gateway that started without the database: %d %s", status, code)
	}
	if status, _ := w.works(third, forgotten); status != http.StatusServiceUnavailable {
		t.Errorf("an unknown key on a gateway that started without the database: %d", status)
	}
	restore()
	testkit.Eventually(t, func() error {
		if status, _ := w.works(third, forgotten); status != http.StatusUnauthorized {
			return fmt.Errorf("an unknown key answers %d", status)
		}
		return nil
	})
	check("with the database again")
}

func TestAKeyWorksElsewhereInTheMomentThatItIsMade(t *testing.T) {
	w := newWorld(t)
	second, _ := w.start()
	for i := range 50 {
		key := w.newKey(fmt.Sprintf(`{"name":"made %d","scopes":["admin"]}`, i))
		if status, code := w.works(second, key.Secret); status != http.StatusOK {
			t.Fatalf("key %d: %d %s", i, status, code)
		}
	}
	begin := time.Now()
	if status, _ := w.works(second, domain.NewSecret()); status != http.StatusUnauthorized {
		t.Errorf("a key that nobody made: %d", status)
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("it is refused after %s", took)
	}
}

// closeDatabase takes the database away until restore.
func (w *world) closeDatabase() (restore func()) {
	w.t.Helper()
	at, err := url.Parse(w.cfg.DatabaseURL)
	if err != nil {
		w.t.Fatal(err)
	}
	name := strings.TrimPrefix(at.Path, "/")
	at.Path = "/postgres"
	conn, err := pgx.Connect(w.t.Context(), at.String())
	if err != nil {
		w.t.Fatal(err)
	}
	execute := func(statement string) {
		w.t.Helper()
		if _, err := conn.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatal(err)
		}
	}
	execute("alter database " + name + " with allow_connections false")
	execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + name + "'")
	return func() {
		w.t.Helper()
		execute("alter database " + name + " with allow_connections true")
		if err := conn.Close(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	}
}

func TestWhatTheLogHasForgottenTheTableRemembers(t *testing.T) {
	w := newWorld(t)
	key := w.newKey(`{"name":"old","scopes":["admin"]}`)
	w.works("", key.Secret)
	testkit.Eventually(t, func() error { // until it is in the table
		conn, err := pgx.Connect(t.Context(), w.cfg.DatabaseURL)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(t.Context()) }()
		var count int
		if err := conn.QueryRow(t.Context(), `select count(*) from gateway.keys`).Scan(&count); err != nil || count < 2 {
			return fmt.Errorf("%d keys, %w", count, err)
		}
		return nil
	})
	w.stop()
	w.purge(contract.StreamEvents)
	fresh, _ := w.start()
	testkit.Eventually(t, func() error {
		if status, code := w.works(fresh, key.Secret); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, code)
		}
		return nil
	})
	var read apiKey
	w.send(call{url: fresh, method: http.MethodGet, path: "/keys/" + key.ID}).decode(t, http.StatusOK, &read)
	if read.Name != "old" {
		t.Errorf("read %+v", read)
	}
	testkit.Eventually(t, func() error { // the log learns of it again, for nobody could revoke it else
		if a := w.send(call{url: fresh, method: http.MethodDelete, path: "/keys/" + key.ID}); a.status != http.StatusNoContent {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	if secret, err := gateway.Bootstrap(t.Context(), w.cfg, false, testkit.Log(t)); err == nil {
		t.Errorf("an installation whose log is empty gets a second first key: %s", secret)
	}
}

func TestAStreamEndsWithItsKey(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.run("shop")
	key := w.newKey(`{"name":"reader","scopes":["operations:read"]}`)
	s := w.openAs(key.Secret, "/events?from_seq=1")
	if _, err := s.next(); err != nil {
		t.Fatal(err)
	}
	w.send(call{method: http.MethodDelete, path: "/keys/" + key.ID}).empty(t)
	begin := time.Now()
	for {
		f, err := s.next()
		if err != nil || strings.Contains(string(f.Data), string(contract.CodeKeyRevoked)) {
			break
		}
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the stream went on for %s", took)
	}
}

func TestTheFirehoseShowsAKeyWhatIsItsOwn(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "blog")
	w.run("shop")
	op := w.run("blog")
	subject := contract.AppendSubject(contract.EntityWebhook, contract.TypeWebhookDisabled, unknownID)
	if _, err := w.conn.JetStream().Publish(t.Context(), subject, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	keys := map[string]struct {
		body string
		want []string
	}{
		"all":     {`{"name":"all","scopes":["admin"]}`, []string{"key.created", "project.created shop", "project.created blog", "operation.pending shop", "operation.pending blog", "webhook.disabled"}},
		"blog":    {`{"name":"blog","scopes":["admin"],"projects":["bl*"]}`, []string{"project.created blog", "operation.pending blog"}},
		"reader":  {`{"name":"reader","scopes":["operations:read"]}`, []string{"operation.pending shop", "operation.pending blog"}},
		"hooks":   {`{"name":"hooks","scopes":["operations:read","webhooks:read"]}`, []string{"operation.pending shop", "operation.pending blog", "webhook.disabled"}},
		"auditor": {`{"name":"auditor","scopes":["operations:read","audit:read"]}`, []string{"key.created", "operation.pending shop", "operation.pending blog"}},
	}
	for name, c := range keys {
		s := w.openAs(w.newKey(c.body).Secret, "/events?from_seq=1")
		for _, want := range c.want {
			f, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			event := string(f.Data)
			project := want[strings.LastIndexByte(want, ' ')+1:]
			if eventType, _, _ := strings.Cut(want, " "); f.Event != eventType || strings.Contains(want, " ") && !strings.Contains(event, `"project":"`+project+`"`) {
				t.Errorf("%s sees %s %s, want %s", name, f.Event, event, want)
			}
			if strings.Contains(event, "hash") && f.Event == "key.created" {
				t.Errorf("%s is shown the hash of a key: %s", name, event)
			}
		}
	}
	if op.Project != "blog" {
		t.Errorf("operation %+v", op)
	}
}
