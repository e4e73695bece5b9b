// Command requestinfo prints how kube-apiserver reads requests. It reads one JSON object
// {"method", "target"} per line and prints one reading per line. Gatehouse's port of requestinfo.go
// is tested against it.
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

type input struct {
	Method string `json:"method"`
	Target string `json:"target"`
}

// reading is the RequestInfo of a request; empty and false fields are omitted.
type reading struct {
	// Refused is "parse" if net/http responds with 400 before any filter runs, and "info" if
	// NewRequestInfo fails and the client gets a 500.
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
	// Escaped is the path as Go encodes it when it forwards the URL, if that differs from the path in
	// the target.
	Escaped string `json:"escaped,omitempty"`
}

var (
	// The prefixes and long-running verbs and subresources of pkg/controlplane/apiserver/config.go.
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
	// NewRequestInfo logs every query that it cannot decode, which is half of the queries in the tests.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	requests := json.NewDecoder(in)
	buffered := bufio.NewWriter(out)
	readings := json.NewEncoder(buffered)
	readings.SetEscapeHTML(false)
	for requests.More() {
		var next input
		if err := requests.Decode(&next); err != nil {
			return err
		}
		if err := readings.Encode(resolve(next)); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func resolve(in input) reading {
	u, err := parseTarget(in)
	if err != nil {
		return reading{Refused: "parse"}
	}
	r := &http.Request{Method: in.Method, URL: u}
	info, err := factory.NewRequestInfo(r)
	if err != nil {
		return reading{Refused: "info"}
	}
	result := reading{
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
	if path, _, _ := strings.Cut(in.Target, "?"); u.EscapedPath() != path {
		result.Escaped = u.EscapedPath()
	}
	return result
}

// parseTarget parses the second word of the request line as net/http's readRequest does.
func parseTarget(in input) (*url.URL, error) {
	if in.Method == http.MethodConnect && !strings.HasPrefix(in.Target, "/") {
		return url.ParseRequestURI("http://" + in.Target)
	}
	return url.ParseRequestURI(in.Target)
}
