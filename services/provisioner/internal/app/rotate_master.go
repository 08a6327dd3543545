package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// rotateBatch is how many data keys a rotation reads at a time.
const rotateBatch = 100

// RotateMaster wraps by the current master key every data key that another wraps.
// Values are not touched, and can be set and opened meanwhile.
//
// It may be repeated, run twice at once, and be cut off: a data key is replaced in
// one step, and only where it is still as it was read.
func (v *Vault) RotateMaster(ctx context.Context, _ contract.RotateMaster) (contract.MasterRotated, error) {
	done, err := v.rotate(ctx)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return done, &contract.Error{Code: contract.CodeUnavailable, Detail: fmt.Sprintf(
			"not done in time: %d data keys were wrapped again; ask again for the rest", done.Rewrapped)}
	case err != nil:
		return done, fmt.Errorf("rotate the master key: %w", err)
	}
	return done, nil
}

func (v *Vault) rotate(ctx context.Context) (contract.MasterRotated, error) {
	var done contract.MasterRotated
	current, err := v.KMS.Current(ctx)
	if err != nil {
		return done, err
	}
	done.MasterKey = current
	// Once over all, not until none is left: another process whose current key is
	// still the old one would wrap them back for ever.
	after := ""
	for {
		keys, err := v.DataKeys.Others(ctx, current, after, rotateBatch)
		if err != nil {
			return done, err
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			replaced, err := v.rewrap(ctx, key)
			if err != nil {
				return done, err
			}
			if replaced {
				done.Rewrapped++
			}
			after = key.ID
		}
	}
	its, others, err := v.DataKeys.Count(ctx, current)
	if err != nil {
		return done, err
	}
	if others > 0 {
		return done, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf(
			"another provisioner still wraps with another master key than %s, %d data keys by now: give all the same, and ask again", current, others)}
	}
	done.Kept = max(0, its-done.Rewrapped)
	return done, nil
}

func (v *Vault) rewrap(ctx context.Context, old DataKey) (bool, error) {
	key, err := v.KMS.Unwrap(ctx, old)
	if err != nil {
		return false, err
	}
	next := old
	if next.MasterKey, next.Wrapped, err = v.KMS.Wrap(ctx, old.ID, key); err != nil {
		return false, err
	}
	return v.DataKeys.Rewrap(ctx, old, next)
}
