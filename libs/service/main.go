package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/orchard9/rdev/libs/envutil"
)

// How a service's process ends.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // arguments or a configuration that make no sense
)

// Main is the main of a service without a database. By its argument it
//
//	            serves, until SIGINT or SIGTERM
//	healthcheck asks the service that serves beside it whether it lives
//	version     tells what it was built from
//
// A service reads its configuration from the environment and logs JSON to
// standard error. Main ends the process: with 0 after a signal or when all is
// well, 1 after a failure, 2 for a configuration or arguments that make no sense.
func Main[Config any](name string, run func(context.Context, Config, *slog.Logger) error) {
	MainWithDatabase(name, run, nil)
}

// MainWithDatabase is Main of a service with a schema in the database that
// <NAME>_DATABASE_URL names. It has one more argument: migrate brings the schema
// up to date, and ends.
//
// What else its program can do, the service's own commands say.
func MainWithDatabase[Config any](
	name string, run func(context.Context, Config, *slog.Logger) error, migrate func(ctx context.Context, url string) error, commands ...Command,
) {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", name)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	p := process{name: name, log: log, stdout: os.Stdout, stderr: os.Stderr, migrate: migrate, serve: func(ctx context.Context) int {
		return serve(ctx, run, log)
	}}
	for _, c := range commands {
		p.commands = append(p.commands, command{name: c.name, about: c.about, run: func(ctx context.Context) error {
			return c.run(ctx, log, os.Stdout)
		}})
	}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// Command is something that a service's program does instead of serving.
type Command struct {
	name, about string
	run         func(ctx context.Context, log *slog.Logger, out io.Writer) error
}

// NewCommand is one that reads its own configuration from the environment. What it is
// about continues "<service> <name>  ".
func NewCommand[Config any](name, about string, run func(ctx context.Context, cfg Config, log *slog.Logger, out io.Writer) error) Command {
	return Command{name: name, about: about, run: func(ctx context.Context, log *slog.Logger, out io.Writer) error {
		cfg, err := envutil.Load[Config]()
		if err != nil {
			return misuse{err}
		}
		return run(ctx, cfg, log, out)
	}}
}

// command is a Command that knows where it logs and prints.
type command struct {
	name, about string
	run         func(context.Context) error
}

// process is one run of a service's program.
type process struct {
	name           string
	log            *slog.Logger
	stdout, stderr io.Writer
	serve          func(context.Context) int
	migrate        func(ctx context.Context, url string) error // nil without a database
	commands       []command
}

// misuse is what is wrong with the arguments or the environment.
type misuse struct{ error }

// run carries out what the arguments say, and returns how the process ends.
func (p process) run(ctx context.Context, args []string) int {
	var err error
	switch asked := strings.Join(args, " "); asked {
	case "":
		return p.serve(ctx)
	case "version":
		fmt.Fprintln(p.stdout, p.name, ReadBuild())
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.stdout, p.usage())
	case "healthcheck":
		err = p.checkHealth(ctx)
	case "migrate":
		err = p.bringUpToDate(ctx)
	default:
		err = misuse{fmt.Errorf("no command is called %q\n\n%s", asked, p.usage())}
		for _, c := range p.commands {
			if c.name == asked {
				err = c.run(ctx)
			}
		}
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.stderr, "%s: %s\n", p.name, strings.TrimSpace(err.Error()))
	if _, ok := errors.AsType[misuse](err); ok {
		return exitUsage
	}
	return exitFailure
}

// environment is what the commands beside serving read, below the name of the
// service, as AUDIT_HTTP_ADDR: they need nothing else of what serving needs.
type environment struct {
	HTTPAddr    string `env:"HTTP_ADDR"`
	DatabaseURL string `env:"DATABASE_URL"`
}

// load reads the environment and returns it with the prefix of its variables.
func (p process) load() (env environment, prefix string, err error) {
	prefix = strings.ToUpper(p.name) + "_"
	if env, err = envutil.LoadPrefixed[environment](prefix); err != nil {
		err = misuse{err}
	}
	return env, prefix, err
}

func (p process) checkHealth(ctx context.Context) error {
	env, prefix, err := p.load()
	switch {
	case err != nil:
		return err
	case env.HTTPAddr == "":
		return misuse{errors.New(prefix + "HTTP_ADDR is not set: the service answers nowhere")}
	}
	return askHealth(ctx, env.HTTPAddr)
}

func (p process) bringUpToDate(ctx context.Context) error {
	env, prefix, err := p.load()
	switch {
	case err != nil:
		return err
	case p.migrate == nil:
		return misuse{errors.New("this service has no database, so there is nothing to migrate")}
	case env.DatabaseURL == "":
		return misuse{errors.New(prefix + "DATABASE_URL is not set")}
	}
	if err := p.migrate(ctx, env.DatabaseURL); err != nil {
		return err
	}
	p.log.Info("the schema is up to date")
	return nil
}

func (p process) usage() string {
	prefix := strings.ToUpper(p.name)
	var text strings.Builder
	line := func(name, about string) { fmt.Fprintf(&text, "  %-12s %s\n", name, about) }
	fmt.Fprintf(&text, "Usage: %s [command]\n\n", p.name)
	line("(none)", "serve until SIGINT or SIGTERM")
	line("healthcheck", "ask the service at "+prefix+"_HTTP_ADDR whether it lives; 0 if it does")
	if p.migrate != nil {
		line("migrate", "bring the schema in "+prefix+"_DATABASE_URL up to date, and end")
	}
	for _, c := range p.commands {
		line(c.name, c.about)
	}
	line("version", "tell what this was built from")
	return text.String()
}

// serve runs the service with the configuration of the environment.
func serve[Config any](ctx context.Context, run func(context.Context, Config, *slog.Logger) error, log *slog.Logger) int {
	cfg, err := envutil.Load[Config]()
	if err != nil {
		log.Error("configuration", "error", err)
		return exitUsage
	}
	log.Info("starting", "version", Version())
	err = run(ctx, cfg, log)
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		log.Error("stopped", "error", err)
		return exitFailure
	}
	log.Info("stopped")
	return exitOK
}
