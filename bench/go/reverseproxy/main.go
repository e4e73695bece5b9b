// Command reverseproxy only forwards: it is httputil.ReverseProxy with TLS on both sides.
package main

import (
	"flag"
	"net/http/httputil"

	"gatehouse/bench/internal/endpoint"
)

func main() {
	server, client := endpoint.ServerFlags(), endpoint.ClientFlags()
	flag.Parse()
	upstream := client.URL()
	server.Serve(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport:     client.Transport(),
		FlushInterval: -1,
	}, nil)
}
