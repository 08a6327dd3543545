package buildspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"github.com/orchard9/rdev/libs/contract"
)

// reviewer looks at all that is in a condition.
type reviewer struct {
	may   names
	asks  bool        // success, failure or always is called
	wrong *file.Error // the first thing that is
}

// operators are those of conditions.
const operators = "==, !=, in, contains, startsWith, endsWith, matches, not, and, or"

func (r *reviewer) no(node ast.Node, format string, args ...any) {
	if r.wrong == nil {
		r.wrong = &file.Error{Location: node.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

func (r *reviewer) visit(node ast.Node) {
	switch n := node.(type) {
	case *ast.BoolNode, *ast.StringNode:
	case *ast.IdentifierNode:
		r.identifier(n)
	case *ast.MemberNode:
		r.member(n)
	case *ast.CallNode:
		r.call(n)
	case *ast.UnaryNode:
		if n.Operator != "!" && n.Operator != "not" {
			r.no(n, "%q is not for conditions; there are %s", n.Operator, operators)
		}
		r.visit(n.Node)
	case *ast.BinaryNode:
		r.binary(n)
	case *ast.ArrayNode:
		for _, item := range n.Nodes {
			r.visit(item)
		}
	case *ast.IntegerNode, *ast.FloatNode:
		r.no(n, "a number is not for conditions; all values are texts, in quotes")
	case *ast.BuiltinNode:
		r.no(n, "there is no function %q, but success(), failure() and always()", n.Name)
	default:
		r.no(n, "this is not for conditions; there are %s", operators)
	}
}

func (r *reviewer) identifier(n *ast.IdentifierNode) {
	switch n.Value {
	case "params", "matrix", "needs":
		r.no(n, `%s is followed by a name, as in %s.NAME or %s["NAME"]`, n.Value, n.Value, n.Value)
	case "success", "failure", "always":
		r.no(n, "%s is a function: write %s()", n.Value, n.Value)
	}
	r.no(n, "there is no %q, but params, matrix and needs; texts are in quotes", n.Value)
}

func (r *reviewer) member(n *ast.MemberNode) {
	of, plain := n.Node.(*ast.IdentifierNode)
	if !plain {
		r.visit(n.Node)
		r.no(n, "what is a text has no parts")
		return
	}
	name, constant := n.Property.(*ast.StringNode)
	if !constant || n.Optional {
		r.visit(of)
		return
	}
	switch of.Value {
	case "params":
		r.known(n, "the build has no parameter", name.Value, r.may.params)
	case "matrix":
		r.known(n, "the matrix of the step has no name", name.Value, r.may.matrix)
	case "needs":
		r.known(n, "the step does not need a step", name.Value, r.may.needs)
	default:
		r.visit(of)
	}
}

func (r *reviewer) known(node ast.Node, what, name string, known []string) {
	if !slices.Contains(known, name) {
		r.no(node, "%s %q%s", what, name, didYouMean(name, known))
	}
}

func (r *reviewer) call(n *ast.CallNode) {
	r.asks = true
	name, plain := n.Callee.(*ast.IdentifierNode)
	switch {
	case !plain:
		r.visit(n.Callee)
		r.no(n, "this is no function")
	case name.Value != "success" && name.Value != "failure" && name.Value != "always":
		r.no(n, "there is no function %q, but success(), failure() and always()", name.Value)
	case len(n.Arguments) > 0:
		r.no(n, "%s() takes nothing: it is about all that the step needs", name.Value)
	}
}

func (r *reviewer) binary(n *ast.BinaryNode) {
	_, constant := n.Right.(*ast.StringNode)
	switch n.Operator {
	case "and", "&&", "or", "||", "contains", "startsWith", "endsWith":
	case "==", "!=", "in":
		r.states(n.Left, n.Right)
		r.states(n.Right, n.Left)
	case "matches":
		if !constant {
			r.no(n.Right, "matches takes a regular expression in quotes")
		}
	case "-":
		r.no(n, `"-" is not for conditions; a name with a hyphen is written in brackets, as in needs["a-b"]`)
	default:
		r.no(n, "%q is not for conditions; there are %s", n.Operator, operators)
	}
	r.visit(n.Left)
	r.visit(n.Right)
}

// states refuses words with which a step is compared and that are no end of a step.
func (r *reviewer) states(member, value ast.Node) {
	m, ok := member.(*ast.MemberNode)
	if !ok {
		return
	}
	if of, ok := m.Node.(*ast.IdentifierNode); !ok || of.Value != "needs" {
		return
	}
	values := []ast.Node{value}
	if list, ok := value.(*ast.ArrayNode); ok {
		values = list.Nodes
	}
	ends := []string{
		string(contract.StepCompleted), string(contract.StepFailed), string(contract.StepSkipped), string(contract.StepCancelled),
	}
	for _, value := range values {
		if word, ok := value.(*ast.StringNode); ok && !slices.Contains(ends, word.Value) {
			r.no(word, "a step ends %s, and never %q%s", strings.Join(ends, ", "), word.Value, didYouMean(word.Value, ends))
		}
	}
}
