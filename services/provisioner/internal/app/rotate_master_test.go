package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// masters is a KMS that only notes who wrapped last.
type masters struct {
	current string
	unwrap  func() error // before each
}

func (m *masters) Current(context.Context) (string, error) { return m.current, nil }

func (m *masters) Wrap(_ context.Context, _ string, key []byte) (string, []byte, error) {
	return m.current, append([]byte(m.current+":"), key...), nil
}

func (m *masters) Unwrap(_ context.Context, key app.DataKey) ([]byte, error) {
	if err := m.unwrap(); err != nil {
		return nil, err
	}
	return bytes.TrimPrefix(key.Wrapped, []byte(key.MasterKey+":")), nil
}

// dataKeys are in memory, sorted by id.
type dataKeys []app.DataKey

func (d dataKeys) Rewrap(_ context.Context, old, next app.DataKey) (bool, error) {
	i := slices.IndexFunc(d, func(k app.DataKey) bool { return k.ID == old.ID })
	if !bytes.Equal(d[i].Wrapped, old.Wrapped) {
		return false, nil
	}
	d[i] = next
	return true, nil
}

func (d dataKeys) Others(_ context.Context, master, after string, limit int) ([]app.DataKey, error) {
	var found []app.DataKey
	for _, key := range d {
		if key.MasterKey != master && key.ID > after && len(found) < limit {
			found = append(found, key)
		}
	}
	return found, nil
}

func (d dataKeys) Count(_ context.Context, master string) (its, others int, err error) {
	for _, key := range d {
		if key.MasterKey == master {
			its++
		}
	}
	return its, len(d) - its, nil
}

func (dataKeys) Take(context.Context, string, int) (app.DataKey, error) {
	return app.DataKey{}, contract.ErrNotFound
}
func (dataKeys) Add(context.Context, app.DataKey) error           { return errors.ErrUnsupported }
func (dataKeys) OneOfEach(context.Context) ([]app.DataKey, error) { return nil, nil }
func (dataKeys) Get(context.Context, string) (app.DataKey, error) {
	return app.DataKey{}, contract.ErrNotFound
}

// wrappedBy are n data keys of a master key.
func wrappedBy(master string, n int) dataKeys {
	var keys dataKeys
	for i := range n {
		id := fmt.Sprintf("k%04d", i)
		keys = append(keys, app.DataKey{ID: id, MasterKey: master, Wrapped: []byte(master + ":" + id)})
	}
	return keys
}

func TestARotationGoesThroughMoreThanOneBatch(t *testing.T) {
	keys := wrappedBy("old", 250)
	v := &app.Vault{DataKeys: keys, KMS: &masters{current: "new", unwrap: func() error { return nil }}}
	done, err := v.RotateMaster(t.Context(), contract.RotateMaster{})
	if err != nil || done != (contract.MasterRotated{MasterKey: "new", Rewrapped: 250}) {
		t.Fatalf("got %+v, %v", done, err)
	}
	for _, key := range keys {
		if key.MasterKey != "new" || string(key.Wrapped) != "new:"+key.ID {
			t.Errorf("got %+v", key)
		}
	}
}

// A process whose current master key is still the old one wraps keys back as fast
// as they are wrapped anew.
func TestARotationThatAnotherUndoesEndsAndSaysSo(t *testing.T) {
	keys := wrappedBy("old", 3)
	behind := &masters{current: "old", unwrap: func() error { return nil }}
	v := &app.Vault{DataKeys: keys, KMS: &masters{current: "new", unwrap: func() error {
		_, err := (&app.Vault{DataKeys: keys, KMS: behind}).RotateMaster(t.Context(), contract.RotateMaster{})
		return err
	}}}
	_, err := v.RotateMaster(t.Context(), contract.RotateMaster{})
	if known, ok := errors.AsType[*contract.Error](err); !ok || known.Code != contract.CodeConflict {
		t.Errorf("got %v, want CONFLICT", err)
	}
}

func TestARotationThatIsCutOffSaysHowFarItCameAndTheNextGoesOn(t *testing.T) {
	keys := wrappedBy("old", 5)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	calls := 0
	kms := &masters{current: "new", unwrap: func() error {
		if calls++; calls == 3 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	v := &app.Vault{DataKeys: keys, KMS: kms}
	done, err := v.RotateMaster(ctx, contract.RotateMaster{})
	if known, ok := errors.AsType[*contract.Error](err); !ok || known.Code != contract.CodeUnavailable || done.Rewrapped != 2 {
		t.Errorf("got %+v, %v, want UNAVAILABLE after 2", done, err)
	}
	done, err = v.RotateMaster(t.Context(), contract.RotateMaster{})
	if err != nil || done.Rewrapped != 3 || done.Kept != 2 {
		t.Errorf("got %+v, %v, want the other 3", done, err)
	}
}
