package provisioner_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner"
)

// withKeys is a vault with a data key, and a credential, of each of n master keys;
// the last is the current one.
func withKeys(t *testing.T, n int) (v *vault, keys []string, op contract.Operation, want map[string]string) {
	t.Helper()
	v = newVault(t)
	want = map[string]string{}
	var names []string
	for i := range n {
		keys = append([]string{masterKey()}, keys...)
		v.setKeys(keys...)
		name := fmt.Sprintf("TOKEN_%d", i)
		names, want[name] = append(names, name), fmt.Sprintf("value %d", i)
		v.put(contract.PutCredential{Name: name, Value: want[name], Projects: []string{"shop"}})
	}
	return v, keys, v.running("shop", names...), want
}

func (v *vault) ciphertexts() string {
	v.t.Helper()
	var all string
	if err := v.pool.QueryRow(v.t.Context(), `select string_agg(c::text, ' ' order by name) from credentials c`).Scan(&all); err != nil {
		v.t.Fatal(err)
	}
	return all
}

func TestARotationWrapsDataKeysAgainAndTouchesNoValue(t *testing.T) {
	v, keys, op, want := withKeys(t, 4)
	before := v.ciphertexts()
	first, err := v.rotate()
	if err != nil || first.Rewrapped != 3 || first.Kept != 1 || len(first.MasterKey) != 16 {
		t.Fatalf("got %+v, %v; want 3 wrapped again and 1 kept", first, err)
	}
	second, err := v.rotate()
	if err != nil || second.Rewrapped != 0 || second.Kept != 4 || second.MasterKey != first.MasterKey {
		t.Errorf("again: got %+v, %v; want 4 kept", second, err)
	}
	if v.ciphertexts() != before {
		t.Error("values were touched")
	}
	v.setKeys(keys[0])
	v.opens(op, want)
	v.stop()
	v.start() // the keys that are gone are not missed
	v.await()
	v.opens(op, want)
}

func TestARotationStopsAtADataKeyThatNothingOpensAndGoesOnFromThere(t *testing.T) {
	v, keys, op, want := withKeys(t, 4)
	v.setKeys(keys[0], keys[2], keys[3]) // the third data key's is missing
	_, err := v.rotate()
	refused(t, err, contract.CodeInternal)
	v.setKeys(keys...)
	v.opens(op, want)
	if done, err := v.rotate(); err != nil || done.Rewrapped != 1 || done.Kept != 3 {
		t.Errorf("got %+v, %v; want the one that was left", done, err)
	}
	v.setKeys(keys[0])
	v.opens(op, want)
}

func TestRotationsAtOnceAndPutsMeanwhileLoseNothing(t *testing.T) {
	v, keys, op, want := withKeys(t, 6)
	v.second()
	var group sync.WaitGroup
	var rewrapped atomic.Int64
	var mu sync.Mutex
	var names []string
	for i := range 4 {
		group.Go(func() {
			for j := range 10 {
				name := fmt.Sprintf("MORE_%d_%d", i, j)
				_, err := ask[contract.PutCredential, contract.Credential](v.world, contract.VerbPutCredential,
					contract.PutCredential{Name: name, Value: "of " + name, Projects: []string{"shop"}})
				if err != nil {
					t.Errorf("put %s: %v", name, err)
					return
				}
				mu.Lock()
				names = append(names, name)
				mu.Unlock()
			}
		})
		group.Go(func() {
			for range 3 {
				done, err := v.rotate()
				if err != nil {
					t.Error(err)
				}
				rewrapped.Add(int64(done.Rewrapped))
			}
		})
		group.Go(func() {
			for range 5 {
				v.opens(op, want)
			}
		})
	}
	group.Wait()
	if rewrapped.Load() != 5 {
		t.Errorf("%d data keys were wrapped again, want 5, each once", rewrapped.Load())
	}
	v.setKeys(keys[0])
	all := map[string]string{}
	for _, name := range names {
		all[name] = "of " + name
	}
	v.opens(v.running("shop", names...), all)
	v.opens(op, want)
}

// second starts another provisioner with the same master keys, and waits until it
// is up.
func (v *vault) second() {
	v.t.Helper()
	cfg := v.cfg
	cfg.HTTPAddr = testkit.FreeAddress(v.t)
	testkit.Serve(v.t, provisioner.Run, cfg)
	client := &http.Client{Timeout: testkit.Patience}
	testkit.Eventually(v.t, func() error {
		response, err := client.Get("http://" + cfg.HTTPAddr + "/ready")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}

func TestPutsAtOnceGetAVersionEach(t *testing.T) {
	v := newVault(t)
	v.do(contract.KindProjectCreate, "shop", contract.Completed)
	var group sync.WaitGroup
	var mu sync.Mutex
	versions := map[int]string{}
	for i := range 20 {
		group.Go(func() {
			value := fmt.Sprintf("value %d", i)
			c, err := ask[contract.PutCredential, contract.Credential](v.world, contract.VerbPutCredential,
				contract.PutCredential{Name: "TOKEN", Project: "shop", Value: value})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			versions[c.Version] = value
		})
	}
	group.Wait()
	if len(versions) != 20 {
		t.Errorf("%d versions, want 20", len(versions))
	}
	v.opens(v.running("shop", "TOKEN"), map[string]string{"TOKEN": versions[20]})
}

func TestARotationByAProvisionerThatIsBehindIsUndoneByTheNext(t *testing.T) {
	v, keys, op, want := withKeys(t, 2)
	v.stop()
	behind := v.cfg
	behind.MasterKey.File = v.keys + "-behind"
	if err := os.WriteFile(behind.MasterKey.File, []byte(strings.Join([]string{keys[1], keys[0]}, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := testkit.Serve(t, provisioner.Run, behind)
	v.await()
	if done, err := v.rotate(); err != nil || done.Rewrapped != 1 {
		t.Fatalf("the one behind: %+v, %v", done, err)
	}
	stop()
	v.start()
	v.await()
	if done, err := v.rotate(); err != nil || done.Rewrapped != 2 || done.Kept != 0 {
		t.Fatalf("the one ahead: %+v, %v", done, err)
	}
	v.opens(op, want)
}
