// Command requestinfo prints what kube-apiserver makes of requests: one JSON object
// {"method", "target"} a line in, one answer a line out. Gatehouse's own port is tested against it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/server/filters"
	"k8s.io/klog/v2"
)

type question struct {
	Method string `json:"method"`
	Target string `json:"target"`
}

// answer leaves out what is empty or false.
type answer struct {
	// Refused is "parse" where net/http answers 400 and no filter runs, "info" where NewRequestInfo
	// fails and the client gets 500.
	Refused           string   `json:"refused,omitempty"`
	IsResourceRequest bool     `json:"isResourceRequest,omitempty"`
	Path              string   `json:"path,omitempty"`
	Verb              string   `json:"verb,omitempty"`
	APIPrefix         string   `json:"apiPrefix,omitempty"`
	APIGroup          string   `json:"apiGroup,omitempty"`
	APIVersion        string   `json:"apiVersion,omitempty"`
	Namespace         string   `json:"namespace,omitempty"`
	Resource          string   `json:"resource,omitempty"`
	Subresource       string   `json:"subresource,omitempty"`
	Name              string   `json:"name,omitempty"`
	Parts             []string `json:"parts,omitempty"`
	FieldSelector     string   `json:"fieldSelector,omitempty"`
	LabelSelector     string   `json:"labelSelector,omitempty"`
	LongRunning       bool     `json:"longRunning,omitempty"`
	// Escaped is how Go writes the path when it sends the URL on; only where that differs from the
	// target's own.
	Escaped string `json:"escaped,omitempty"`
}

var (
	// The prefixes and long-running words of pkg/controlplane/apiserver/config.go.
	factory = request.RequestInfoFactory{
		APIPrefixes:          sets.NewString("api", "apis"),
		GrouplessAPIPrefixes: sets.NewString("api"),
	}
	isLongRunning = filters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"),
		sets.NewString("attach", "exec", "proxy", "log", "portforward"),
	)
)

func main() {
	// NewRequestInfo logs every query that it cannot decode; here that is half of them.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	questions := json.NewDecoder(in)
	buffered := bufio.NewWriter(out)
	answers := json.NewEncoder(buffered)
	answers.SetEscapeHTML(false)
	for questions.More() {
		var q question
		if err := questions.Decode(&q); err != nil {
			return err
		}
		if err := answers.Encode(resolve(q)); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func resolve(q question) answer {
	u, err := parseTarget(q)
	if err != nil {
		return answer{Refused: "parse"}
	}
	r := &http.Request{Method: q.Method, URL: u}
	info, err := factory.NewRequestInfo(r)
	if err != nil {
		return answer{Refused: "info"}
	}
	a := answer{
		IsResourceRequest: info.IsResourceRequest,
		Path:              info.Path,
		Verb:              info.Verb,
		APIPrefix:         info.APIPrefix,
		APIGroup:          info.APIGroup,
		APIVersion:        info.APIVersion,
		Namespace:         info.Namespace,
		Resource:          info.Resource,
		Subresource:       info.Subresource,
		Name:              info.Name,
		Parts:             info.Parts,
		FieldSelector:     info.FieldSelector,
		LabelSelector:     info.LabelSelector,
		LongRunning:       isLongRunning(r, info),
	}
	if path, _, _ := strings.Cut(q.Target, "?"); u.EscapedPath() != path {
		a.Escaped = u.EscapedPath()
	}
	return a
}

// parseTarget does what net/http's readRequest does with the second word of the request line.
func parseTarget(q question) (*url.URL, error) {
	if q.Method == http.MethodConnect && !strings.HasPrefix(q.Target, "/") {
		return url.ParseRequestURI("http://" + q.Target)
	}
	return url.ParseRequestURI(q.Target)
}
