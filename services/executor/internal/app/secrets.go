package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

const (
	// vaultPatience is how long the vault may be away before a command fails that
	// has not begun, and joinPatience the same for one whose run is there already:
	// what it has done is worth more.
	vaultPatience = 30 * time.Second
	joinPatience  = 5 * time.Minute

	vaultPause        = 100 * time.Millisecond // before the second try; then double
	longestVaultPause = 5 * time.Second
)

// withoutSecrets is why a command ends that cannot have its secrets.
type withoutSecrets struct{ how ending }

// Error implements error.
func (*withoutSecrets) Error() string { return "the credentials of the command could not be opened" }

// openSecrets asks the vault for the values that the command names. A vault that
// is away is asked again, and the lease kept meanwhile, as nobody else does so
// yet. The error is a *withoutSecrets where the operation is to end.
func (a *attempt) openSecrets(ctx context.Context) (map[string]string, error) {
	patience := vaultPatience
	if a.takesOver() {
		patience = joinPatience
	}
	begin := time.Now()
	renewed, pause := begin, vaultPause
	for {
		values, err := a.openOnce(ctx)
		if err == nil {
			return values, nil
		}
		if err := a.hopeless(err, time.Since(begin) > patience); err != nil {
			return nil, err
		}
		if err := a.pause(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, longestVaultPause)
		now, lookErr := a.look(ctx, true)
		switch {
		case lookErr == nil && now.CancelRequested:
			return nil, &withoutSecrets{cancelled(now)}
		case lookErr == nil:
			renewed = time.Now()
		case errors.Is(lookErr, contract.ErrFenced):
			return nil, lookErr
		case time.Since(renewed) > a.Settings.Lease.SelfFence:
			return nil, fmt.Errorf("%w: %w", ErrLeaseLost, lookErr)
		}
	}
}

func (a *attempt) openOnce(ctx context.Context) (map[string]string, error) {
	opened, err := a.Vault.Open(ctx, a.op)
	if err != nil {
		return nil, err
	}
	values := map[string]string{} // what it did not name has no place in its environment
	for _, name := range a.op.Command.Credentials {
		value, ok := opened[name]
		if !ok {
			return nil, fmt.Errorf("the vault did not tell the value of %s", name)
		}
		values[name] = value
	}
	return values, nil
}

// hopeless is the error of an attempt that need not ask the vault again, after
// what it said, or as its patience is over; else nil.
func (a *attempt) hopeless(err error, over bool) error {
	code, words := contract.Code(""), err.Error()
	if known, ok := errors.AsType[*contract.Error](err); ok {
		code, words = known.Code, known.Detail
	}
	class := contract.ClassInfrastructure
	switch code {
	case contract.CodeConflict:
		// Another attempt has the operation, or it has ended.
		return fmt.Errorf("%w: %w", contract.ErrFenced, err)
	case contract.CodeNotFound, contract.CodeInvalidRequest, contract.CodeTargetNotAllowed:
		class = contract.ClassUser
	default:
		if !over {
			return nil
		}
	}
	return &withoutSecrets{failedWith(class, "its credentials could not be opened: %s", words)}
}

// pause waits, unless the executor is told to stop.
func (a *attempt) pause(ctx context.Context, pause time.Duration) error {
	wait := time.NewTimer(pause)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.Stopping.Done():
		if a.Settings.EndRunsOnStop {
			return &withoutSecrets{failedWith(contract.ClassInfrastructure, "rdev was stopped")}
		}
		return ErrStopping
	}
}

// abandon ends the run that an earlier attempt has started, if there is one: what
// it prints could not be masked.
func (a *attempt) abandon(ctx context.Context, ref domain.RunRef) error {
	err := domain.ErrNoRun
	if a.takesOver() {
		err = a.Runtime.Adopt(ctx, ref)
	}
	if err == nil {
		err = a.Runtime.Cancel(ctx, ref, a.Settings.Grace)
	}
	if errors.Is(err, domain.ErrNoRun) {
		a.workspace = "" // nothing is to be cleaned
		return nil
	}
	return err
}

// redacted is an ending in whose words secrets are masked. Why an agent stopped is
// in rdev's own.
func (e ending) redacted(secrets *redact.Secrets) ending {
	if secrets == nil {
		return e
	}
	if e.failure != nil {
		failure := *e.failure
		failure.Message = secrets.Text(failure.Message)
		e.failure = &failure
	}
	if e.result != nil {
		result := *e.result
		for _, words := range []*string{&result.Text, &result.Session, &result.Commit, &result.Branch} {
			*words = secrets.Text(*words)
		}
		e.result = &result
	}
	return e
}
