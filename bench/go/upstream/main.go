// Command upstream stands in for kube-apiserver: its responses are fixed and cost no work. A client
// without a certificate gets 401, as from an API server without anonymous access.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"gatehouse/bench/internal/endpoint"
)

const (
	podBytes  = 2_048
	listBytes = 5_000_000
)

func main() {
	server := endpoint.ServerFlags()
	clientCA := flag.String("client-ca", "", "CA of client certificates, PEM")
	flag.Parse()

	pod, list := pod("web", podBytes), podList(listBytes)
	watchEvent := []byte(fmt.Sprintf("{\"type\":\"ADDED\",\"object\":%s}\n", pod))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", respond([]byte(`{"major":"1","minor":"36","gitVersion":"v1.36.3"}`)))
	mux.HandleFunc("GET /api/v1/namespaces/default/pods/web", respond(pod))
	mux.HandleFunc("GET /api/v1/namespaces/pieces-2k/pods", respondInPieces(list, 2*1024))
	mux.HandleFunc("GET /api/v1/namespaces/pieces-32k/pods", respondInPieces(list, 32*1024))
	mux.HandleFunc("GET /api/v1/namespaces/default/pods/web/exec", exec)
	mux.HandleFunc("POST /api/v1/namespaces/default/pods/web/exec", exec)
	mux.HandleFunc("GET /api/v1/pods", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(list)))
			respond(list)(w, r)
			return
		}
		writeHead(w, http.StatusOK)
		_, _ = w.Write(watchEvent)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", review)
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", accessReview)
	mux.HandleFunc("GET /bench/accessreviews", func(w http.ResponseWriter, _ *http.Request) {
		writeHead(w, http.StatusOK)
		_, _ = fmt.Fprintf(w, "%d", accessReviews.Load())
	})

	server.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			writeHead(w, http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`))
			return
		}
		if id := r.Header.Get("Audit-ID"); id != "" {
			w.Header().Set("Audit-Id", id)
		}
		mux.ServeHTTP(w, r)
	}), &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: endpoint.Pool(*clientCA)})
}

func respond(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeHead(w, http.StatusOK)
		_, _ = w.Write(body)
	}
}

// respondInPieces writes the body piece by piece, as kube-apiserver writes the items of a list: without
// a Content-Length, and each piece a chunk of its own over HTTP/1.1.
func respondInPieces(body []byte, size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeHead(w, http.StatusOK)
		for piece := range slices.Chunk(body, size) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}
}

// writeHead writes the header fields that kube-apiserver sends with every response.
func writeHead(w http.ResponseWriter, code int) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache, private")
	h.Set("Content-Type", "application/json")
	h.Set("X-Kubernetes-Pf-Flowschema-Uid", "dd1d7a2c-94b4-4c36-8f43-3b0c2f3c4c55")
	h.Set("X-Kubernetes-Pf-Prioritylevel-Uid", "3a5c2b7e-0d1a-4f8e-9a57-6bb8f8b0a1de")
	w.WriteHeader(code)
}

// review returns the impersonated user of a request or, without one, the name in the certificate.
func review(w http.ResponseWriter, r *http.Request) {
	username := r.Header.Get("Impersonate-User")
	if username == "" {
		username = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	writeHead(w, http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind":       "SelfSubjectReview",
		"apiVersion": "authentication.k8s.io/v1",
		"status": map[string]any{
			"userInfo": map[string]any{
				"username": username,
				"groups":   append(r.Header.Values("Impersonate-Group"), "system:authenticated"),
			},
		},
	})
}

// accessReviews counts the SubjectAccessReviews so far.
var accessReviews atomic.Int64

// accessReview allows everything but constrained impersonation, so that each new user costs what it costs
// where only RBAC's verb impersonate is granted.
func accessReview(w http.ResponseWriter, r *http.Request) {
	accessReviews.Add(1)
	var given struct {
		Spec struct {
			ResourceAttributes struct {
				Verb string `json:"verb"`
			} `json:"resourceAttributes"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
		writeHead(w, http.StatusBadRequest)
		return
	}
	isAllowed := given.Spec.ResourceAttributes.Verb == "impersonate"
	writeHead(w, http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind":       "SubjectAccessReview",
		"apiVersion": "authorization.k8s.io/v1",
		"status":     map[string]any{"allowed": isAllowed},
	})
}

// pod returns a Pod of exactly size bytes of JSON.
func pod(name string, size int) []byte {
	object := map[string]any{
		"kind":       "Pod",
		"apiVersion": "v1",
		"metadata": map[string]any{
			"name":              name,
			"namespace":         "default",
			"uid":               "5f1c0a3e-7a0b-4a63-9d5a-0d8f7a6b1c2d",
			"resourceVersion":   "184467",
			"creationTimestamp": "2026-01-05T08:00:00Z",
			"labels":            map[string]string{"app": "web", "pod-template-hash": "6d5f8c7b9"},
			"annotations":       map[string]string{"filler": ""},
		},
		"spec": map[string]any{
			"nodeName":      "node-1",
			"restartPolicy": "Always",
			"containers": []any{map[string]any{
				"name":  "web",
				"image": "registry.example/web:1.27.3",
				"ports": []any{map[string]any{"containerPort": 8080, "protocol": "TCP"}},
			}},
		},
		"status": map[string]any{"phase": "Running", "podIP": "10.1.2.3", "hostIP": "10.0.0.7"},
	}
	bare, err := json.Marshal(object)
	if err != nil || len(bare) > size {
		log.Fatalf("the Pod does not fit into %d bytes: %v", size, err)
	}
	filler := bytes.Repeat([]byte("x"), size-len(bare))
	return bytes.Replace(bare, []byte(`"filler":""`), []byte(`"filler":"`+string(filler)+`"`), 1)
}

// podList returns a PodList of at least size bytes, and at most one Pod more.
func podList(size int) []byte {
	var list bytes.Buffer
	list.WriteString(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"184467"},"items":[`)
	for i := 0; list.Len() < size; i++ {
		if i > 0 {
			list.WriteByte(',')
		}
		list.Write(pod(fmt.Sprintf("web-%d", i), podBytes))
	}
	list.WriteString("]}")
	return list.Bytes()
}
