// Package endpoint holds what every Go program of the bench needs: where it listens and, for the
// proxies, the way to the upstream.
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

// Server is a TLS listener for HTTP/1.1 and HTTP/2, as net/http has it.
type Server struct {
	Address, CertFile, KeyFile string
}

// ServerFlags defines the flags of a Server.
func ServerFlags() *Server {
	var s Server
	flag.StringVar(&s.Address, "listen", "127.0.0.1:0", "address")
	flag.StringVar(&s.CertFile, "cert", "", "serving certificate, PEM")
	flag.StringVar(&s.KeyFile, "key", "", "its key, PEM")
	return &s
}

// Serve ends the process when it cannot serve.
func (s *Server) Serve(handler http.Handler, config *tls.Config) {
	server := &http.Server{
		Addr:              s.Address,
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: 30 * time.Second,
	}
	log.Fatal(server.ListenAndServeTLS(s.CertFile, s.KeyFile))
}

// Client reaches the upstream with the proxy's own certificate.
type Client struct {
	url, caFile, certFile, keyFile string
	idle                           int
}

// ClientFlags defines the flags of a Client.
func ClientFlags() *Client {
	var c Client
	flag.StringVar(&c.url, "upstream", "", "https URL")
	flag.StringVar(&c.caFile, "upstream-ca", "", "authority of its certificate, PEM")
	flag.StringVar(&c.certFile, "client-cert", "", "certificate shown to it, PEM")
	flag.StringVar(&c.keyFile, "client-key", "", "its key, PEM")
	flag.IntVar(&c.idle, "max-idle-connections", 512, "connections kept; Go's own default is 2 a host")
	return &c
}

// URL of the upstream.
func (c *Client) URL() *url.URL {
	u, err := url.Parse(c.url)
	if err != nil {
		log.Fatal(err)
	}
	return u
}

// Transport is net/http's, HTTP/1.1: what a reverse proxy gets that sets a TLS configuration of its
// own, as all of kube-oidc-proxy's kind do.
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
		// Bodies pass as they are.
		DisableCompression: true,
	}
}

// Pool reads a bundle of certificates.
func Pool(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatal(fmt.Errorf("%s holds no certificate", file))
	}
	return pool
}
