package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// startTimeout bounds the start, including the recovery after a crash.
const startTimeout = time.Minute

// Start returns a server that accepts connections: the one at Options.URL, or
// one of our own. ctx bounds the start, not the life of the server, which ends
// by Stop or with this process. A directory that is supervised already is
// refused with ErrInUse.
func Start(ctx context.Context, options Options) (*Server, error) {
	if options.URL != "" {
		return adopt(options.URL)
	}
	o, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("local database: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("local database: %w", err)
	}
	held, err := lock(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("local database: %w", err)
	}
	server, err := startLocked(ctx, o, held)
	if err != nil {
		return nil, fmt.Errorf("local database: %w", err)
	}
	return server, nil
}

// startLocked takes over the lock and gives it back if it fails.
func startLocked(ctx context.Context, o Options, held *os.File) (_ *Server, err error) {
	started := time.Now()
	undo := []func() error{held.Close}
	defer func() {
		if err != nil {
			for _, step := range undo {
				err = errors.Join(err, step())
			}
		}
	}()
	place := cluster{dir: o.Dir}
	if err := evict(ctx, place.data()); err != nil {
		return nil, err
	}
	bin, as, err := prepare(ctx, o, place)
	if err != nil {
		return nil, err
	}
	password, err := place.password()
	if err != nil {
		return nil, err
	}
	address, err := newAddress(o.Dir, as)
	if err != nil {
		return nil, err
	}
	undo = append(undo, address.remove)

	server := &Server{
		address:  address.url(password),
		log:      o.Log,
		done:     make(chan struct{}),
		stopping: make(chan struct{}),
		release:  func() { _ = errors.Join(address.remove(), held.Close()) },
	}
	args := append([]string{"-D", place.data()}, append(address.arguments(), settings(o.Durable)...)...)
	command := as.command(context.WithoutCancel(ctx), filepath.Join(bin.Bin, "postgres"), args...)
	if err := server.run(command, filepath.Join(o.Dir, "postgres.log")); err != nil {
		return nil, err
	}
	// From here on the end of the process gives everything back.
	undo = nil
	ready, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := server.awaitReady(ready); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("%s does not answer: %w; see %s", bin, err, filepath.Join(o.Dir, "postgres.log")), server.Stop(stop))
	}
	o.Log.Info("database started", "version", bin.Version, "source", string(bin.Source), "dir", o.Dir, "took", time.Since(started))
	return server, nil
}

// prepare finds the binaries and sees to it that there is a cluster for them.
func prepare(ctx context.Context, o Options, place cluster) (Installation, account, error) {
	if o.Template != "" {
		if err := os.RemoveAll(place.data()); err != nil {
			return Installation{}, account{}, err
		}
	}
	bin, err := choose(ctx, o, place.data())
	if err != nil {
		return Installation{}, account{}, err
	}
	as, err := newAccount(ctx, bin)
	if err != nil {
		return Installation{}, account{}, err
	}
	if err := as.own(o.Dir); err != nil {
		return Installation{}, account{}, err
	}
	if o.Template == "" {
		return bin, as, place.initialise(ctx, bin, as, o.Durable)
	}
	kept, err := template(ctx, o.Template, bin, as)
	if err != nil {
		return Installation{}, account{}, err
	}
	return bin, as, place.copyFrom(kept, as)
}

// settings are modest: the server shares the machine with everything else.
//
// In durable mode synchronous_commit stays on. The projections could do without,
// as they are rebuilt from the log and keep their position in the same
// transaction, but the schemas also hold what exists nowhere else (API keys,
// the vault), and that must not be lost once it was answered. A writer of a
// projection that wants the speed says SET LOCAL synchronous_commit = off.
func settings(durable bool) []string {
	args := []string{
		"-c", "shared_buffers=128MB",
		"-c", "max_connections=100",
		"-c", "timezone=UTC",
		"-c", "log_timezone=UTC",
		"-c", "logging_collector=off",
	}
	if !durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
	}
	return args
}
