package buildspec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	language "github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// maxCondition is the most bytes of a condition.
const maxCondition = 2000

// names are what a condition may name.
type names struct{ params, matrix, needs []string }

// compiled is a condition that can be decided.
type compiled struct {
	program *vm.Program
	asks    bool // it says itself how what is needed must have ended
}

// compile makes a condition ready. Its error continues a sentence that begins with the
// field. What a reviewer does not know is refused: so a condition names nothing that is
// not there, and has no loops.
func compile(condition string, may names) (compiled, error) {
	if len(condition) > maxCondition {
		return compiled{}, fmt.Errorf("has more than %d bytes", maxCondition)
	}
	tree, err := language.Parse(condition)
	if err != nil {
		return compiled{}, told(err)
	}
	r := reviewer{may: may}
	r.visit(tree.Node)
	if r.wrong != nil {
		return compiled{}, told(r.wrong.Bind(tree.Source))
	}
	function := types.TypeOf(func() bool { return true })
	program, err := expr.Compile(condition, expr.AsBool(), expr.DisableAllBuiltins(), expr.Env(types.Map{
		"params": mapOf(may.params), "matrix": mapOf(may.matrix), "needs": mapOf(may.needs),
		"success": function, "failure": function, "always": function,
	}))
	if err != nil {
		return compiled{}, told(err)
	}
	return compiled{program: program, asks: r.asks}, nil
}

func mapOf(names []string) types.Map {
	all := types.Map{}
	for _, name := range names {
		all[name] = types.String
	}
	return all
}

// told is an error of the language in our words, with its place.
func told(err error) error {
	at, ok := errors.AsType[*file.Error](err)
	if !ok {
		_, got, _ := strings.Cut(err.Error(), "but got ")
		return fmt.Errorf("must be true or false, and is a %s", got)
	}
	message := at.Message
	if strings.Contains(message, "mismatched types") {
		message += "; all values are texts, in quotes"
	}
	if at.Line > 1 {
		return fmt.Errorf("is wrong in its line %d, column %d: %s", at.Line, at.Column+1, message)
	}
	return fmt.Errorf("is wrong at column %d: %s", at.Column+1, message)
}
