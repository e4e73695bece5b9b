// Command authentication prints how kube-apiserver judges AuthenticationConfigurations, tokens and CEL
// expressions. It reads one JSON object per line and prints one verdict per line. Gatehouse's reading
// of AuthenticationConfiguration, and its CEL, are tested against it.
//
// A question has one of these forms:
//
//	{"document": TEXT}                           is this configuration accepted?
//	{"document": TEXT, "payload": TEXT}          whom does the first issuer make of these claims?
//	{"variable": "claims"|"user", "expression": TEXT, "claims": OBJECT}
//	{"functions": true}                          which functions do expressions have?
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sort"
	"strings"

	"github.com/coreos/go-oidc"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	authenticator "k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/klog/v2"
)

type question struct {
	Document   *string         `json:"document"`
	Payload    *string         `json:"payload"`
	Variable   string          `json:"variable"`
	Expression string          `json:"expression"`
	Claims     json.RawMessage `json:"claims"`
	Functions  bool            `json:"functions"`
}

// user is who a token is for; empty fields are omitted.
type user struct {
	Username string              `json:"username"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// verdict is the answer to any question; what does not apply is omitted.
type verdict struct {
	// Problems of a document; the first word of each is its field, "decode" if it is not readable.
	Problems []string `json:"problems,omitempty"`
	User     *user    `json:"user,omitempty"`
	Refused  string   `json:"refused,omitempty"`
	// Type is that of the result of an expression.
	Type string `json:"type,omitempty"`
	// Invalid is why an expression does not compile.
	Invalid   string              `json:"invalid,omitempty"`
	Value     *string             `json:"value,omitempty"`
	Functions map[string][]string `json:"functions,omitempty"`
}

var (
	scheme   = runtime.NewScheme()
	codecs   = serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	compiler = authenticationcel.NewDefaultCompiler()
)

func main() {
	// The authenticator logs every token that it refuses.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	install.Install(scheme)
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	questions := json.NewDecoder(in)
	buffered := bufio.NewWriter(out)
	verdicts := json.NewEncoder(buffered)
	verdicts.SetEscapeHTML(false)
	for questions.More() {
		var next question
		if err := questions.Decode(&next); err != nil {
			return err
		}
		if err := verdicts.Encode(judge(next)); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func judge(q question) verdict {
	switch {
	case q.Functions:
		return verdict{Functions: functions()}
	case q.Document == nil:
		return evaluate(q.Variable, q.Expression, q.Claims)
	case q.Payload == nil:
		_, problems := load(*q.Document)
		return verdict{Problems: problems}
	default:
		return authenticate(*q.Document, *q.Payload)
	}
}

// load reads a document as pkg/kubeapiserver/options/authentication.go does.
func load(document string) (*apiserver.AuthenticationConfiguration, []string) {
	if len(document) == 0 {
		return nil, []string{"decode: empty config data"}
	}
	object, err := runtime.Decode(codecs.UniversalDecoder(), []byte(document))
	if err != nil {
		return nil, []string{"decode: " + err.Error()}
	}
	configuration, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, []string{fmt.Sprintf("decode: it is a %T", object)}
	}
	var problems []string
	for _, problem := range validation.ValidateAuthenticationConfiguration(compiler, configuration, nil) {
		problems = append(problems, problem.Error())
	}
	return configuration, problems
}

// authenticate judges a token with these claims, whose signature counts as verified.
func authenticate(document, payload string) verdict {
	configuration, problems := load(document)
	if len(problems) > 0 {
		return verdict{Problems: problems}
	}
	issuer := configuration.JWT[0]
	// The keys are given, so there is nothing to discover.
	issuer.Issuer.DiscoveryURL = ""
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tokens, err := authenticator.New(ctx, authenticator.Options{
		JWTAuthenticator:     issuer,
		KeySet:               anyKey{},
		Compiler:             compiler,
		SupportedSigningAlgs: authenticator.AllValidSigningAlgorithms(),
	})
	if err != nil {
		return verdict{Problems: []string{"authenticator: " + err.Error()}}
	}
	response, accepted, err := tokens.AuthenticateToken(ctx, encode(`{"alg":"RS256"}`)+"."+encode(payload)+"."+encode("signature"))
	if err != nil {
		return verdict{Refused: err.Error()}
	}
	if !accepted {
		return verdict{Refused: "not a token of this issuer"}
	}
	return verdict{User: &user{
		Username: response.User.GetName(),
		UID:      response.User.GetUID(),
		Groups:   response.User.GetGroups(),
		Extra:    response.User.GetExtra(),
	}}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// anyKey verifies every signature.
type anyKey struct{}

var _ oidc.KeySet = anyKey{}

func (anyKey) VerifySignature(_ context.Context, token string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
}

func sorted(names map[string][]string) map[string][]string {
	for _, overloads := range names {
		sort.Strings(overloads)
	}
	return names
}
