package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/cel/environment"

	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// evaluate compiles an expression, and evaluates it over claims unless these are absent.
func evaluate(variable, expression string, claims json.RawMessage) verdict {
	accessor := &authenticationcel.ClaimMappingExpression{Expression: expression}
	compile := compiler.CompileClaimsExpression
	if variable == "user" {
		compile = compiler.CompileUserExpression
	}
	compiled, err := compile(accessor)
	if err != nil {
		return verdict{Invalid: err.Error()}
	}
	result := verdict{Type: compiled.AST.OutputType().String()}
	if claims == nil {
		return result
	}
	var values map[string]any
	if err := json.Unmarshal(claims, &values); err != nil {
		return verdict{Refused: err.Error()}
	}
	value, _, err := compiled.Program.Eval(map[string]any{variable: values})
	if err != nil {
		result.Refused = err.Error()
		return result
	}
	text := show(value)
	result.Value = &text
	return result
}

// show writes a value in a form that other languages can write as well.
func show(value ref.Val) string {
	switch v := value.(type) {
	case types.Bool, types.Int:
		return fmt.Sprint(v.Value())
	case types.Uint:
		return fmt.Sprintf("%du", uint64(v))
	case types.Double:
		return strconv.FormatFloat(float64(v), 'e', -1, 64)
	case types.String:
		return strconv.QuoteToASCII(string(v))
	case types.Bytes:
		return fmt.Sprintf("b%x", []byte(v))
	case types.Null:
		return "null"
	case types.Timestamp:
		return fmt.Sprintf("timestamp %d.%09d", v.Unix(), v.Nanosecond())
	case types.Duration:
		return fmt.Sprintf("duration %d", v.Duration.Nanoseconds())
	case *types.Optional:
		if !v.HasValue() {
			return "none"
		}
		return "some " + show(v.GetValue())
	case *types.Type:
		return "type " + v.TypeName()
	case traits.Lister:
		var items []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			items = append(items, show(it.Next()))
		}
		return "[" + strings.Join(items, " ") + "]"
	case traits.Mapper:
		var entries []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			entries = append(entries, show(key)+": "+show(v.Get(key)))
		}
		sort.Strings(entries)
		return "{" + strings.Join(entries, " ") + "}"
	default:
		return value.Type().TypeName()
	}
}

// functions lists the overloads of every function, with their types.
func functions() map[string][]string {
	env, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Env(environment.StoredExpressions)
	if err != nil {
		panic(err)
	}
	result := map[string][]string{}
	for name, function := range env.Functions() {
		for _, overload := range function.OverloadDecls() {
			var parameters []string
			for _, parameter := range overload.ArgTypes() {
				parameters = append(parameters, typeText(parameter))
			}
			text := strings.Join(parameters, ", ") + " -> " + typeText(overload.ResultType())
			if overload.IsMemberFunction() {
				text = "." + text
			}
			result[name] = append(result[name], text)
		}
	}
	return sorted(result)
}

func typeText(t *celgo.Type) string { return t.String() }
