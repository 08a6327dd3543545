// Package agents drives coding-agent CLIs: how each is started, and how what it
// prints becomes the events of libs/contract. There is one file per provider;
// everything that they share is in the others.
//
//	contract.Agent ──Command──▶ Launch ──▶ a runtime runs it
//	                                             │ pieces of stdout and stderr
//	[]contract.AgentEvent ◀──────── Parser ◀─────┘
//
// Nothing here runs a process or keeps a clock: a parser that is fed the same
// bytes says the same events, so a run can be parsed again from its start.
package agents

import (
	"path"

	"github.com/orchard9/rdev/libs/contract"
)

// Driver knows one agent CLI.
type Driver interface {
	// Info tells what the CLI is and what it reports.
	Info() Info
	// Command tells how to start the CLI for a prompt. It checks nothing: a
	// prompt must not be empty.
	Command(agent contract.Agent, place Place) Launch
	// NewParser makes a parser for one run.
	NewParser() *Parser
}

// Info describes a CLI and the version of it that the driver was written for.
type Info struct {
	Name    string // what rdev calls it: claude-code, opencode, codex, gemini
	Package string // npm package, where Binary comes from
	Version string // exact version
	Binary  string // looked up in the PATH of the run
	Usage   bool   // whether it tells how many tokens a run took
	Cost    bool   // whether it tells what they cost
	// ChoosesSession is true where a new session gets its id from Place.Session
	// rather than from the CLI.
	ChoosesSession bool
}

// Place is where an agent runs, and as what.
type Place struct {
	// Home is an absolute directory that outlives the run, for everything the
	// CLIs keep: sessions, settings, caches. They make what they need below it.
	Home string
	// Session is a UUID for a new session, for the providers that let rdev choose
	// it. They refuse one that is taken, by an earlier attempt of a run too.
	Session string
}

// Launch is how to start a CLI. The environment of the project goes after Env,
// so that it wins; keys and base URLs of models are only there.
type Launch struct {
	Argv  []string
	Env   []string // KEY=value
	Stdin []byte   // the prompt, so that it is in no process list and has no limit
	// KeepStdin holds standard input open after Stdin. The CLI ends when it is
	// closed, which is due once Parser.Finished.
	KeepStdin bool
	// Interrupt, written to standard input, makes the CLI stop what it does and
	// print its result. It is nil where only signals can stop it.
	Interrupt []byte
}

// Providers are the drivers there are.
func Providers() []Driver {
	return []Driver{claudeCode{}, openCode{}, codex{}, gemini{}}
}

// Lookup finds a driver by its name; "claude" is taken for "claude-code".
func Lookup(name string) (Driver, bool) {
	if name == "claude" {
		name = claudeCode{}.Info().Name
	}
	for _, driver := range Providers() {
		if driver.Info().Name == name {
			return driver, true
		}
	}
	return nil, false
}

// flag adds --name=value where there is a value. The value is in the same
// argument as the name, so that it can not be taken for a flag itself.
func flag(argv []string, name, value string) []string {
	if value == "" {
		return argv
	}
	return append(argv, name+"="+value)
}

// shell wraps a command in a script that prepares for it and ends in exec "$@".
func shell(script string, argv ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, argv...)
}

// below is a directory of one provider in the home of all.
func (p Place) below(elements ...string) string {
	return path.Join(append([]string{p.Home}, elements...)...)
}
