package provisioner_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/nacl/box"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner"
)

// vault is a world with a master key.
type vault struct {
	*world

	keys string // the file of master keys
	pool *pgxpool.Pool
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{world: stopped(t), keys: filepath.Join(t.TempDir(), "keys")}
	v.cfg.MasterKey.File = v.keys
	v.setKeys(masterKey())
	v.start()
	v.await()
	pool, err := database.Open(t.Context(), v.cfg.DatabaseURL, contract.ServiceProvisioner, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	v.pool = pool
	return v
}

// await waits until a provisioner answers.
func (w *world) await() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), testkit.Patience)
	defer cancel()
	if err := w.conn.AwaitService(ctx, contract.ServiceProvisioner); err != nil {
		w.t.Fatal(err)
	}
}

func masterKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// setKeys replaces the master keys in one step, the current one first.
func (v *vault) setKeys(keys ...string) {
	v.t.Helper()
	if err := os.WriteFile(v.keys+".new", []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		v.t.Fatal(err)
	}
	if err := os.Rename(v.keys+".new", v.keys); err != nil {
		v.t.Fatal(err)
	}
}

// ask asks the provisioner.
func ask[Request, Reply any](w *world, verb string, request Request) (Reply, error) {
	ctx, cancel := context.WithTimeout(bus.WithActor(w.t.Context(), "key:ci"), testkit.Patience)
	defer cancel()
	return bus.Call[Request, Reply](ctx, w.conn, contract.ServiceProvisioner, verb, request)
}

func (v *vault) put(request contract.PutCredential) contract.Credential {
	v.t.Helper()
	c, err := ask[contract.PutCredential, contract.Credential](v.world, contract.VerbPutCredential, request)
	if err != nil {
		v.t.Fatalf("put %s of %q: %v", request.Name, request.Project, err)
	}
	return c
}

func (v *vault) listed(project string, limit int) []contract.Credential {
	v.t.Helper()
	var all []contract.Credential
	request := contract.ListCredentials{Project: project, Limit: limit}
	for {
		page, err := ask[contract.ListCredentials, contract.CredentialList](v.world, contract.VerbListCredentials, request)
		if err != nil {
			v.t.Fatal(err)
		}
		all = append(all, page.Credentials...)
		if page.NextCursor == nil {
			return all
		}
		request.Cursor = *page.NextCursor
	}
}

// command is a running one that names credentials.
func (v *vault) running(project string, names ...string) contract.Operation {
	v.t.Helper()
	op, err := v.conn.Append(v.t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: contract.KindShell, Project: project, Actor: "key:test",
		CreatedAt: time.Now().UTC(), Lane: contract.PodLane(project),
		Command: &contract.Command{Shell: &contract.Shell{Argv: []string{"true"}}, Credentials: names},
	}})
	if err != nil {
		v.t.Fatal(err)
	}
	return v.change(op, contract.OperationRunning{Attempt: 1, Executor: "executor-1", At: time.Now()})
}

func (v *vault) change(op contract.Operation, change contract.Change) contract.Operation {
	v.t.Helper()
	op, err := v.conn.Append(v.t.Context(), &op, change)
	if err != nil {
		v.t.Fatal(err)
	}
	return op
}

// open opens the credentials of an operation as its executor does.
func (v *vault) open(op contract.Operation) (map[string]string, error) {
	v.t.Helper()
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		v.t.Fatal(err)
	}
	sealed, err := ask[contract.OpenCredentials, contract.SealedCredentials](v.world, contract.VerbOpenCredentials,
		contract.OpenCredentials{Operation: op.ID, Attempt: op.Attempt, PublicKey: public[:]})
	if err != nil {
		return nil, err
	}
	text, ok := box.OpenAnonymous(nil, sealed.Box, public, private)
	if !ok {
		v.t.Fatal("the box is not for the key that was sent")
	}
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		v.t.Fatal(err)
	}
	return values, nil
}

func (v *vault) opens(op contract.Operation, want map[string]string) {
	v.t.Helper()
	if got, err := v.open(op); err != nil || !maps.Equal(got, want) {
		v.t.Errorf("opened %v, %v; want %v", got, err, want)
	}
}

// refused wants an error with a code and words.
func refused(t *testing.T, err error, code contract.Code, words ...string) {
	t.Helper()
	known, ok := errors.AsType[*contract.Error](err)
	if !ok || known.Code != code {
		t.Errorf("got %v, want %s", err, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(known.Detail, word) {
			t.Errorf("%q does not say %q", known.Detail, word)
		}
	}
}

func (v *vault) execute(sql string, args ...any) {
	v.t.Helper()
	if _, err := v.pool.Exec(v.t.Context(), sql, args...); err != nil {
		v.t.Fatalf("%s: %v", sql, err)
	}
}

func (v *vault) rotate() (contract.MasterRotated, error) {
	return ask[contract.RotateMaster, contract.MasterRotated](v.world, contract.VerbRotateMaster, contract.RotateMaster{})
}

func TestACredentialIsPutListedAndDeletedAndNeverShown(t *testing.T) {
	v := newVault(t)
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	first := v.put(contract.PutCredential{Name: "TOKEN", Project: "shop", Value: "one"})
	second := v.put(contract.PutCredential{Name: "TOKEN", Project: "shop", Value: "two"})
	v.put(contract.PutCredential{Name: "API_KEY", Project: "shop", Value: "three"})
	v.put(contract.PutCredential{Name: "TOKEN", Value: "four", Projects: []string{"web", "ci-*", "web"}})

	if first.Version != 1 || first.Actor != "key:ci" || first.CreatedAt.IsZero() || first.Project != "shop" {
		t.Errorf("got %+v", first)
	}
	if second.Version != 2 || !second.CreatedAt.Equal(first.CreatedAt) || !second.UpdatedAt.After(first.UpdatedAt) {
		t.Errorf("got %+v after %+v", second, first)
	}
	own := v.listed("shop", 1)
	if len(own) != 2 || own[0].Name != "API_KEY" || own[1].Name != "TOKEN" || own[1].Version != 2 || !own[1].UpdatedAt.Equal(second.UpdatedAt) {
		t.Errorf("listed %+v", own)
	}
	if all := v.listed("", 0); len(all) != 1 || fmt.Sprint(all[0].Projects) != "[ci-* web]" || all[0].Project != "" {
		t.Errorf("listed %+v of the installation", all)
	}

	remove := contract.DeleteCredential{Name: "TOKEN", Project: "shop"}
	if _, err := ask[contract.DeleteCredential, contract.CredentialDeleted](v.world, contract.VerbDeleteCredential, remove); err != nil {
		t.Fatal(err)
	}
	_, err := ask[contract.DeleteCredential, contract.CredentialDeleted](v.world, contract.VerbDeleteCredential, remove)
	refused(t, err, contract.CodeNotFound, "project shop has no credential TOKEN")
	if left := append(v.listed("shop", 0), v.listed("", 0)...); len(left) != 2 {
		t.Errorf("left are %+v", left)
	}
}

func TestAPutSaysAllThatIsWrongWithIt(t *testing.T) {
	v := newVault(t)
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	for want, request := range map[string]contract.PutCredential{
		"[name value]":              {Name: "PATH"},
		"[name]":                    {Name: "RDEV_X", Value: "x"},
		"[value]":                   {Name: "TOKEN", Value: strings.Repeat("x", contract.MaxCredential+1)},
		"[project name]":            {Name: "a-b", Project: "../shop", Value: "x"},
		"[projects]":                {Name: "TOKEN", Project: "shop", Projects: []string{"*"}, Value: "x"},
		"[projects[1] projects[2]]": {Name: "TOKEN", Projects: []string{"ci-*", "CI", "a/b"}, Value: "x"},
	} {
		_, err := ask[contract.PutCredential, contract.Credential](v.world, contract.VerbPutCredential, request)
		refused(t, err, contract.CodeInvalidRequest)
		var got []string
		if known, ok := errors.AsType[*contract.Error](err); ok {
			for _, field := range known.Fields {
				got = append(got, field.Field)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s %s: wrong are %v, want %s", request.Project, request.Name, got, want)
		}
	}
	_, err := ask[contract.PutCredential, contract.Credential](v.world, contract.VerbPutCredential,
		contract.PutCredential{Name: "TOKEN", Project: "nowhere", Value: "x"})
	refused(t, err, contract.CodeNotFound, "there is no project nowhere")
	v.put(contract.PutCredential{Name: "TOKEN", Project: "shop", Value: strings.Repeat("x", contract.MaxCredential)})
}

func TestAnExecutorGetsWhatItsRunningCommandNamedAndNoMore(t *testing.T) {
	v := newVault(t)
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	v.do(contract.KindProjectCreate, "ci-1", contract.Completed)
	v.put(contract.PutCredential{Name: "OWN", Project: "shop", Value: "of shop <&>\u2028 \"ü\"\n"})
	v.put(contract.PutCredential{Name: "OTHER", Project: "shop", Value: "unlisted"})
	v.put(contract.PutCredential{Name: "BOTH", Project: "shop", Value: "of shop"})
	v.put(contract.PutCredential{Name: "BOTH", Value: "of all", Projects: []string{"*"}})
	v.put(contract.PutCredential{Name: "CI", Value: "of ci", Projects: []string{"ci-*"}})
	v.put(contract.PutCredential{Name: "NOBODY", Value: "of nobody"})

	v.opens(v.running("shop", "OWN", "BOTH", "OWN"), map[string]string{"OWN": "of shop <&>\u2028 \"ü\"\n", "BOTH": "of shop"})
	v.opens(v.running("ci-1", "BOTH", "CI"), map[string]string{"BOTH": "of all", "CI": "of ci"})
	v.opens(v.running("shop"), map[string]string{})
	for project, name := range map[string]string{"shop": "CI", "ci-1": "OWN", "other": "NOBODY"} {
		_, err := v.open(v.running(project, "BOTH", name))
		refused(t, err, contract.CodeNotFound, "project "+project+" has no credential "+name,
			"PUT /projects/"+project+"/credentials/"+name, "PUT /credentials/"+name, "include "+project)
	}
}

func TestTheVaultAnswersOnlyWhileTheOperationRunsUnderThatAttempt(t *testing.T) {
	v := newVault(t)
	v.put(contract.PutCredential{Name: "TOKEN", Value: "x", Projects: []string{"*"}})
	op := v.running("shop", "TOKEN")
	v.opens(op, map[string]string{"TOKEN": "x"})

	early := op
	early.Attempt = 2
	_, err := v.open(early)
	refused(t, err, contract.CodeConflict, op.ID, "running in attempt 1")
	taken := v.change(op, contract.OperationRunning{Attempt: 2, Executor: "executor-2", At: time.Now()})
	_, err = v.open(op)
	refused(t, err, contract.CodeConflict, "running in attempt 2")
	v.opens(taken, map[string]string{"TOKEN": "x"})
	ended := v.change(taken, contract.OperationCompleted{Attempt: 2, At: time.Now()})
	_, err = v.open(ended)
	refused(t, err, contract.CodeConflict, "completed")

	waiting := v.command("shop")
	waiting.Attempt = 1
	_, err = v.open(waiting)
	refused(t, err, contract.CodeConflict, "pending")
	_, err = v.open(contract.Operation{ID: uuid.NewString(), Attempt: 1})
	refused(t, err, contract.CodeNotFound, "there is no operation")
	_, err = v.open(contract.Operation{ID: "*", Attempt: 1})
	refused(t, err, contract.CodeInvalidRequest, "operation")
	_, err = ask[contract.OpenCredentials, contract.SealedCredentials](v.world, contract.VerbOpenCredentials,
		contract.OpenCredentials{Operation: op.ID, Attempt: 1, PublicKey: make([]byte, 31)})
	refused(t, err, contract.CodeInvalidRequest, "public_key")
}

func TestMoreThanAMessageHoldsIsRefusedWithWords(t *testing.T) {
	v := newVault(t)
	var names []string
	want := map[string]string{}
	for i := range 12 {
		name := fmt.Sprintf("BIG_%02d", i)
		value := strings.Repeat("x", contract.MaxCredential)
		v.put(contract.PutCredential{Name: name, Value: value, Projects: []string{"shop"}})
		names = append(names, name)
		if i < 9 {
			want[name] = value
		}
	}
	v.opens(v.running("shop", names[:9]...), want)
	_, err := v.open(v.running("shop", names...))
	refused(t, err, contract.CodePayloadTooLarge, "bytes together")
}

func TestWhatWasChangedInTheDatabaseIsNotOpened(t *testing.T) {
	v := newVault(t)
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	v.do(contract.KindProjectCreate, "blog", contract.Completed)
	reset := func() {
		v.put(contract.PutCredential{Name: "A", Project: "shop", Value: "shop A"})
		v.put(contract.PutCredential{Name: "B", Project: "shop", Value: "shop B"})
		v.put(contract.PutCredential{Name: "A", Project: "blog", Value: "blog A"})
		v.put(contract.PutCredential{Name: "C", Value: "of ci", Projects: []string{"ci-*"}})
	}
	reset()
	const from = `update credentials c set nonce = o.nonce, ciphertext = o.ciphertext, data_key = o.data_key, version = o.version from credentials o
		where c.project = 'shop' and c.name = 'A' and `
	for name, sql := range map[string]string{
		"the row of another name":    from + `o.project = 'shop' and o.name = 'B'`,
		"the row of another project": from + `o.project = 'blog' and o.name = 'A'`,
		"an older version":           `update credentials set version = version - 1 where project = 'shop' and name = 'A'`,
		"a bit of the ciphertext":    `update credentials set ciphertext = set_bit(ciphertext, 3, 1 - get_bit(ciphertext, 3)) where project = 'shop' and name = 'A'`,
		"a bit of the nonce":         `update credentials set nonce = set_bit(nonce, 3, 1 - get_bit(nonce, 3)) where project = 'shop' and name = 'A'`,
		"no nonce":                   `update credentials set nonce = '' where project = 'shop' and name = 'A'`,
		"a bit of the data key":      `update data_keys set wrapped = set_bit(wrapped, 200, 1 - get_bit(wrapped, 200))`,
	} {
		reset()
		v.opens(v.running("shop", "A"), map[string]string{"A": "shop A"})
		v.execute(sql)
		_, err := v.open(v.running("shop", "A"))
		refused(t, err, contract.CodeInternal)
		if t.Failed() {
			t.Errorf("changed was %s", name)
		}
		if strings.Contains(sql, "data_keys") {
			v.execute(sql) // back, for the next
		}
	}
	v.execute(`update credentials set projects = '{*}' where name = 'C'`)
	_, err := v.open(v.running("shop", "C"))
	refused(t, err, contract.CodeInternal)
}

func TestADumpOfTheDatabaseHoldsNoValue(t *testing.T) {
	v := newVault(t)
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	const canary = "canary-5f1c90e2"
	v.put(contract.PutCredential{Name: "TOKEN", Project: "shop", Value: canary})
	v.put(contract.PutCredential{Name: "TOKEN", Value: canary, Projects: []string{"shop"}})
	v.opens(v.running("shop", "TOKEN"), map[string]string{"TOKEN": canary})
	keys, err := os.ReadFile(v.keys)
	if err != nil {
		t.Fatal(err)
	}
	master, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(keys)))
	if err != nil {
		t.Fatal(err)
	}
	dump := v.dump()
	if !strings.Contains(dump, "TOKEN") {
		t.Fatal("the dump has no credentials")
	}
	for _, secret := range []string{canary, string(master)} {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), base64.StdEncoding.EncodeToString([]byte(secret))[:len(secret)]} {
			if strings.Contains(dump, form) {
				t.Errorf("the dump has %q", form)
			}
		}
	}
}

// dump is every row of every table as text.
func (v *vault) dump() string {
	v.t.Helper()
	rows, err := v.pool.Query(v.t.Context(), `select tablename::text from pg_tables where schemaname = $1`, contract.ServiceProvisioner)
	if err != nil {
		v.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		v.t.Fatal(err)
	}
	var dump bytes.Buffer
	for _, table := range tables {
		rows, err := v.pool.Query(v.t.Context(), `select t::text from `+pgx.Identifier{table}.Sanitize()+` t`)
		if err != nil {
			v.t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			v.t.Fatal(err)
		}
		fmt.Fprintln(&dump, table, lines)
	}
	return dump.String()
}

func TestADataKeyThatIsFullIsFollowedByAnother(t *testing.T) {
	v := newVault(t)
	v.put(contract.PutCredential{Name: "A", Value: "a", Projects: []string{"shop"}})
	v.execute(`update data_keys set sealed = 999`)
	for _, name := range []string{"B", "C"} {
		v.put(contract.PutCredential{Name: name, Value: strings.ToLower(name), Projects: []string{"shop"}})
	}
	rows, err := v.pool.Query(t.Context(), `select sealed from data_keys order by id`)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || !slices.Equal(sealed, []int{1000, 1}) {
		t.Errorf("values under each data key: %v, %v; want 1000 and 1", sealed, err)
	}
	v.opens(v.running("shop", "A", "B", "C"), map[string]string{"A": "a", "B": "b", "C": "c"})
}

func TestADeletedProjectLeavesNoCredentialToTheNextOfItsName(t *testing.T) {
	v := newVault(t)
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	v.put(contract.PutCredential{Name: "TOKEN", Project: "shop", Value: "x"})
	v.put(contract.PutCredential{Name: "TOKEN", Value: "y", Projects: []string{"web"}})
	v.do(contract.KindProjectDelete, "shop", contract.Completed)
	if left := v.listed("shop", 0); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	_, err := ask[contract.PutCredential, contract.Credential](v.world, contract.VerbPutCredential,
		contract.PutCredential{Name: "TOKEN", Project: "shop", Value: "late"})
	refused(t, err, contract.CodeNotFound, "there is no project shop")
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	_, err = v.open(v.running("shop", "TOKEN"))
	refused(t, err, contract.CodeNotFound)
	if left := v.listed("", 0); len(left) != 1 {
		t.Errorf("the installation's credential went, too: %+v", left)
	}
}

func TestWithoutAMasterKeyTheVaultSaysWhatToSetAndTheRestWorks(t *testing.T) {
	w := newWorld(t)
	w.do(contract.KindProjectCreate, "shop", contract.Completed)
	for _, verb := range []string{
		contract.VerbPutCredential, contract.VerbDeleteCredential, contract.VerbListCredentials, contract.VerbOpenCredentials, contract.VerbRotateMaster,
	} {
		_, err := ask[struct{}, struct{}](w, verb, struct{}{})
		refused(t, err, contract.CodeUnavailable, "PROVISIONER_MASTER_KEY_FILE", "openssl rand -base64 32")
	}
	w.do(contract.KindProjectDelete, "shop", contract.Completed)
}

func TestAMasterKeyThatIsNotTheVaultsIsFoundAtTheStart(t *testing.T) {
	v := newVault(t)
	v.put(contract.PutCredential{Name: "TOKEN", Value: "x", Projects: []string{"*"}})
	v.stop()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	v.setKeys(masterKey())
	if err := provisioner.Run(ctx, v.cfg, testkit.Log(t)); err == nil || !strings.Contains(err.Error(), "was wrapped with master key") || !strings.Contains(err.Error(), v.keys) {
		t.Errorf("another key: %v", err)
	}
	v.setKeys("not a key")
	if err := provisioner.Run(ctx, v.cfg, testkit.Log(t)); err == nil || !strings.Contains(err.Error(), "line 1 is not a key") {
		t.Errorf("no key: %v", err)
	}
	v.cfg.MasterKey.Text = masterKey()
	if err := provisioner.Run(ctx, v.cfg, testkit.Log(t)); err == nil || !strings.Contains(err.Error(), "both set") {
		t.Errorf("two sources: %v", err)
	}
	v.cfg.MasterKey.File = ""
	if err := provisioner.Run(ctx, v.cfg, testkit.Log(t)); err == nil || !strings.Contains(err.Error(), "PROVISIONER_MASTER_KEY: data key") {
		t.Errorf("another key from the environment: %v", err)
	}
}
