// Package envutil is the only reader of the environment. A service describes
// what it wants as a struct; main loads it once and hands it on.
package envutil

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Load reads the environment into a T, a struct whose fields carry the tags of
// caarlos0/env: `env:"NAME"` or `env:"NAME,notEmpty"`, and `envDefault:"…"`. A
// variable that is set but empty counts as one that is not set. The error names
// every variable that is missing or malformed, not only the first.
func Load[T any]() (T, error) { return load[T](env.Options{}) }

// LoadPrefixed is Load of variables whose names begin with prefix, as AUDIT_.
func LoadPrefixed[T any](prefix string) (T, error) { return load[T](env.Options{Prefix: prefix}) }

// LoadFrom is Load with the given variables in place of the environment's.
func LoadFrom[T any](variables map[string]string) (T, error) {
	if variables == nil {
		variables = map[string]string{}
	}
	return load[T](env.Options{Environment: variables})
}

func load[T any](options env.Options) (T, error) {
	config, err := env.ParseAsWithOptions[T](options)
	if err == nil {
		return config, nil
	}
	var none T
	aggregate, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return none, fmt.Errorf("environment: %w", err)
	}
	variables := Describe[T]()
	var all []error
	for _, single := range aggregate.Errors {
		all = append(all, explain(variables, single))
	}
	return none, fmt.Errorf("environment: %w", errors.Join(all...))
}

// explain says in terms of variables what the library says in terms of fields.
func explain(variables []Variable, err error) error {
	if missing, ok := errors.AsType[env.VarIsNotSetError](err); ok {
		return fmt.Errorf("%s is not set", missing.Key)
	}
	if empty, ok := errors.AsType[env.EmptyVarError](err); ok {
		return fmt.Errorf("%s is not set", empty.Key)
	}
	malformed, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return err
	}
	// Fields of nested structs may share their name and type; then all are named.
	var names []string
	for _, variable := range variables {
		if variable.field == malformed.Name && variable.kind == malformed.Type {
			names = append(names, variable.Name)
		}
	}
	if len(names) == 0 {
		names = []string{malformed.Name}
	}
	name := strings.Join(names, " or ")
	number, ok := errors.AsType[*strconv.NumError](malformed.Err)
	if !ok {
		return fmt.Errorf("%s: %w", name, malformed.Err)
	}
	wanted := "number"
	if number.Func == "ParseBool" {
		wanted = "boolean"
	}
	return fmt.Errorf("%s: %q is not a valid %s: %w", name, number.Num, wanted, number.Err)
}

// Variable is one variable of a configuration.
type Variable struct {
	Name     string // of the variable
	Type     string // of its value, as Go writes it
	Default  string // as text; empty if there is none
	Required bool   // it must be set and not be empty

	field string
	kind  reflect.Type
}

// Describe lists the variables of a configuration in the order of its fields,
// for the tables in the documentation.
func Describe[T any]() []Variable { return describe(reflect.TypeFor[T](), "") }

func describe(config reflect.Type, prefix string) []Variable {
	var all []Variable
	for field := range config.Fields() {
		tag := field.Tag.Get("env")
		name, flags, _ := strings.Cut(tag, ",")
		switch {
		case !field.IsExported() || name == "-":
		case name != "":
			all = append(all, Variable{
				Name:     prefix + name,
				Type:     field.Type.String(),
				Default:  field.Tag.Get("envDefault"),
				Required: strings.Contains(flags, "required") || strings.Contains(flags, "notEmpty"),
				field:    field.Name,
				kind:     field.Type,
			})
		case field.Type.Kind() == reflect.Struct:
			all = append(all, describe(field.Type, prefix+field.Tag.Get("envPrefix"))...)
		}
	}
	return all
}
