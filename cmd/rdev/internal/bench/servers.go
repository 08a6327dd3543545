package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database/local"
	"github.com/orchard9/rdev/services/audit"
)

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

type databaseConfig struct{ Dir, Registry string }

// serveDatabase announces the URL of a durable PostgreSQL.
func serveDatabase(ctx context.Context, cfg databaseConfig, say announce) error {
	server, err := local.Start(ctx, local.Options{Dir: cfg.Dir, Registry: cfg.Registry, Durable: true, Log: logger()})
	if err != nil {
		return err
	}
	err = say(server.URL(""))
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
}

type natsConfig struct {
	Dir      string
	Unsynced bool
	// Contract makes rdev's streams; else there is one plain stream, RAW.
	Contract bool
}

const (
	rawStream  = "RAW"
	rawSubject = "raw.message"
)

// serveNATS announces the URL of a NATS server.
func serveNATS(ctx context.Context, cfg natsConfig, say announce) (err error) {
	server, err := embedded.Start(embedded.Options{Dir: cfg.Dir, Unsynced: cfg.Unsynced, Log: logger()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	conn, err := bus.Connect(ctx, bus.Options{
		NATS:    bus.Settings{URL: server.URL(), More: []nats.Option{nats.InProcessServer(server.Server)}},
		Service: "bench", Log: logger(),
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if cfg.Contract {
		err = conn.Ensure(ctx, 1, contract.DefaultLease())
	} else {
		_, err = conn.JetStream().CreateStream(ctx, jetstream.StreamConfig{Name: rawStream, Subjects: []string{"raw.>"}})
	}
	if err == nil {
		err = say(server.URL())
	}
	if err == nil {
		<-ctx.Done()
	}
	return err
}

type httpConfig struct {
	Every time.Duration // between two lines of /stream
}

// serveHTTP announces the URL of an API that does nothing: the least that a
// POST and a stream can cost.
func serveHTTP(ctx context.Context, cfg httpConfig, say announce) error {
	r := chi.NewRouter()
	r.Post("/projects/{project}/commands", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(contract.Operation{ID: "0", State: contract.Pending})
	})
	r.Get("/stream", func(w http.ResponseWriter, r *http.Request) { streamRaw(ctx, w, r, cfg.Every) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := say("http://" + listener.Addr().String()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// streamRaw is the least that a server-sent stream of lines can cost.
func streamRaw(ctx context.Context, w http.ResponseWriter, r *http.Request, every time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for id := 1; ; id++ {
		_, err := fmt.Fprintf(w, "id: %d\nevent: stdout\ndata: {\"offset\":%d,\"data\":\"%d\\n\"}\n\n", id, id*20, time.Now().UnixNano())
		if errors.Join(err, control.Flush()) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

type auditConfig struct{ NATS, Database string }

// serveAudit is rdev's audit service alone.
func serveAudit(ctx context.Context, cfg auditConfig, say announce) error {
	if err := say("started"); err != nil {
		return err
	}
	return audit.Run(ctx, audit.Config{NATS: bus.Settings{URL: cfg.NATS}, DatabaseURL: cfg.Database}, logger())
}
