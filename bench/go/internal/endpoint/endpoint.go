// Package endpoint has what the Go programs of the bench share: the listener and, for the proxies,
// the client of the upstream.
package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Server is a TLS listener for HTTP/1.1 and HTTP/2, with the defaults of net/http.
type Server struct {
	Address, CertFile, KeyFile string
}

// ServerFlags defines the flags of a Server.
func ServerFlags() *Server {
	var s Server
	flag.StringVar(&s.Address, "listen", "127.0.0.1:0", "host:port to listen on")
	flag.StringVar(&s.CertFile, "cert", "", "serving certificate, PEM")
	flag.StringVar(&s.KeyFile, "key", "", "key of the serving certificate, PEM")
	return &s
}

// Serve serves until the process ends; it ends the process when serving fails.
func (s *Server) Serve(handler http.Handler, config *tls.Config) {
	server := &http.Server{
		Addr:              s.Address,
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: 30 * time.Second,
	}
	log.Fatal(server.ListenAndServeTLS(s.CertFile, s.KeyFile))
}

// Client connects to the upstream with the proxy's own certificate.
type Client struct {
	url, caFile, certFile, keyFile string
	idle                           int
}

// ClientFlags defines the flags of a Client.
func ClientFlags() *Client {
	var c Client
	flag.StringVar(&c.url, "upstream", "", "URL of the upstream")
	flag.StringVar(&c.caFile, "upstream-ca", "", "CA of the upstream's certificate, PEM")
	flag.StringVar(&c.certFile, "client-cert", "", "certificate to present to the upstream, PEM")
	flag.StringVar(&c.keyFile, "client-key", "", "key of that certificate, PEM")
	flag.IntVar(&c.idle, "max-idle-connections", 512, "idle connections to keep; Go's default is 2 per host")
	return &c
}

// URL returns the URL of the upstream.
func (c *Client) URL() *url.URL {
	u, err := url.Parse(c.url)
	if err != nil {
		log.Fatal(err)
	}
	return u
}

// Transport returns a net/http transport for HTTP/1.1, which is what a reverse proxy gets that sets
// its own TLS configuration, as kube-oidc-proxy does.
func (c *Client) Transport() *http.Transport {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		log.Fatal(err)
	}
	return &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: Pool(c.caFile), Certificates: []tls.Certificate{pair}},
		MaxIdleConns:        c.idle,
		MaxIdleConnsPerHost: c.idle,
		IdleConnTimeout:     90 * time.Second,
		// Bodies are forwarded unchanged.
		DisableCompression: true,
	}
}

// Pool reads a bundle of CA certificates.
func Pool(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatal(fmt.Errorf("%s does not contain a certificate", file))
	}
	return pool
}
