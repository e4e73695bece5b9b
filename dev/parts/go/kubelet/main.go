// Command kubelet stands in for a node: it binds unscheduled pods, reports them as running, and
// serves exec, attach, port-forward and logs with the streaming code of real kubelets
// (k8s.io/cri-streaming), without a container runtime. A command that is executed "in a container" is
// a local process of the user who started this program. Therefore it listens on loopback, and only
// for clients with a certificate of -client-ca-file.
//
// When it serves and its Node exists, it prints one line of JSON to stdout: {"address": "host:port"}.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "host:port to listen on; port 0 means any free port")
	certFile := flag.String("tls-cert-file", "", "serving certificate (PEM)")
	keyFile := flag.String("tls-private-key-file", "", "key of the serving certificate (PEM)")
	clientCAFile := flag.String("client-ca-file", "", "CA of the accepted client certificates (PEM)")
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of the API server")
	nodeName := flag.String("node-name", "stand-in", "name of the Node object")
	version := flag.String("kubernetes-version", "v0.0.0", "version that the Node reports")
	root := flag.String("root-dir", "", "folder in which each pod gets its working directory")
	flag.Parse()
	node := node{name: *nodeName, version: *version}
	if err := run(*address, *certFile, *keyFile, *clientCAFile, *kubeconfig, *root, node); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		os.Exit(1)
	}
}

func run(address, certFile, keyFile, clientCAFile, kubeconfig, root string, node node) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	tlsConfig, err := mutualTLS(certFile, keyFile, clientCAFile)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}

	pods := newPods(root)
	defer pods.stopAll()
	server := &http.Server{
		Handler:     newHandler(pods),
		TLSConfig:   tlsConfig,
		ConnContext: withConnectionEnd,
		// Requests end with this program, also on upgraded connections.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(tls.NewListener(trackingListener{listener}, tlsConfig)) }()

	node.port = listener.Addr().(*net.TCPAddr).Port
	if err := node.register(ctx, client); err != nil {
		return fmt.Errorf("registering node %s: %w", node.name, err)
	}
	go func() { failed <- workPods(ctx, client, node.name, pods) }()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"address": listener.Addr().String()}); err != nil {
		return err
	}

	heartbeat := time.NewTicker(20 * time.Second)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			pods.sessions.waitForNone(time.Second)
			return server.Close()
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-heartbeat.C:
			if err := node.register(ctx, client); err != nil {
				fmt.Fprintln(os.Stderr, "kubelet: heartbeat:", err)
			}
		}
	}
}

// mutualTLS returns a configuration that rejects clients without a certificate of clientCAFile in the handshake.
func mutualTLS(certFile, keyFile, clientCAFile string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(clientCAFile)
	if err != nil {
		return nil, err
	}
	clientCAs := x509.NewCertPool()
	if !clientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s does not contain a certificate", clientCAFile)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    clientCAs,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		// SPDY upgrades exist in HTTP/1.1 only.
		NextProtos: []string{"http/1.1"},
	}, nil
}
