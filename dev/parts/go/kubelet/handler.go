package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const idleTimeout = 4 * time.Hour

// newHandler serves the paths that kube-apiserver requests from a kubelet
// (pkg/registry/core/pod/strategy.go), and /sessions, which lists the open sessions for tests.
func newHandler(pods *pods) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(pods.sessions.list())
	})
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", pods.serveLogs)
	for _, method := range []string{"GET", "POST"} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", pods.serveExec)
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{uid}/{container}", pods.serveExec)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", pods.serveAttach)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{uid}/{container}", pods.serveAttach)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", pods.servePortForward)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}/{uid}", pods.servePortForward)
	}
	return mux
}

func (p *pods) serveExec(w http.ResponseWriter, r *http.Request) {
	container := p.container(w, r)
	options := streamOptions(w, r)
	if container == nil || options == nil {
		return
	}
	remotecommand.ServeExec(w, r, executor{p, container}, container.pod.name, container.pod.uid, container.name,
		r.URL.Query()["command"], options, idleTimeout,
		remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (p *pods) serveAttach(w http.ResponseWriter, r *http.Request) {
	container := p.container(w, r)
	options := streamOptions(w, r)
	if container == nil || options == nil {
		return
	}
	remotecommand.ServeAttach(w, r, attacher{p, container}, container.pod.name, container.pod.uid, container.name,
		options, idleTimeout,
		remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (p *pods) servePortForward(w http.ResponseWriter, r *http.Request) {
	pod := p.find(r.PathValue("namespace"), r.PathValue("pod"))
	if pod == nil {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return
	}
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, portForwarder{p, pod}, pod.name, pod.uid, options, idleTimeout,
		remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

// container finds the container in the path. If it does not exist, it responds with a kubelet's 404.
func (p *pods) container(w http.ResponseWriter, r *http.Request) *container {
	pod := p.find(r.PathValue("namespace"), r.PathValue("pod"))
	if pod == nil {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return nil
	}
	name := r.PathValue("container")
	container := pod.containers[name]
	if container == nil {
		http.Error(w, fmt.Sprintf("container %q not found in pod %q", name, pod.name), http.StatusNotFound)
	}
	return container
}

func streamOptions(w http.ResponseWriter, r *http.Request) *remotecommand.Options {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	return options
}
