// Command load generates the load that wrk and h2load cannot: requests at a fixed rate (`pace`) and
// the rate that is possible (`saturate`), many watches that stay open (`watch`), and upgraded connections
// (`tunnel`). It prints one JSON object to stdout.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"gatehouse/bench/internal/endpoint"
	"gatehouse/bench/internal/tunnel"
)

type settings struct {
	url, token string
	http2      bool
	tls        *tls.Config
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: load pace|saturate|watch|tunnel flags")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	target := flags.String("url", "", "URL to GET")
	ca := flags.String("ca", "", "CA of the server's certificate, PEM")
	cert := flags.String("cert", "", "client certificate, PEM")
	key := flags.String("key", "", "key of the client certificate, PEM")
	token := flags.String("token", "", "bearer token")
	h2 := flags.Bool("http2", false, "use HTTP/2")
	rate := flags.Float64("rate", 650, "pace: requests per second")
	duration := flags.Duration("duration", 5*time.Second, "pace and saturate: duration")
	count := flags.Int("count", 2000, "watch: number of watches")
	perConnection := flags.Int("per-connection", 100, "watch: streams per HTTP/2 connection")
	protocol := flags.String("protocol", "websocket", "tunnel: websocket or spdy")
	up := flags.Bool("up", false, "tunnel: send to the upstream instead of receiving from it")
	frames := flags.Int("frames", 10_000, "tunnel: number of frames of 32 KiB")
	_ = flags.Parse(os.Args[2:])

	config := &tls.Config{RootCAs: endpoint.Pool(*ca)}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	s := settings{*target, *token, *h2, config}
	switch os.Args[1] {
	case "pace":
		print(pace(s, *rate, *duration))
	case "saturate":
		print(saturate(s, 32, *duration))
	case "watch":
		watch(s, *count, *perConnection)
	case "tunnel":
		print(carry(s, tunnel.Protocols[*protocol], *up, *frames))
	default:
		log.Fatalf("unknown command %q", os.Args[1])
	}
}

func (s settings) transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!s.http2)
	protocols.SetHTTP2(s.http2)
	return &http.Transport{
		TLSClientConfig:     s.tls.Clone(),
		Protocols:           protocols,
		MaxIdleConnsPerHost: 256,
		DisableCompression:  true,
		// A proxy that does not respond must not block the bench forever.
		ResponseHeaderTimeout: 30 * time.Second,
	}
}

func (s settings) request() *http.Request {
	request, err := http.NewRequest(http.MethodGet, s.url, nil)
	if err != nil {
		log.Fatal(err)
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	request.Header.Set("Accept", "application/json")
	return request
}

func print(result any) {
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

// checkOK returns the error of a request, or an error for a status other than 200.
func checkOK(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("unexpected status %s", response.Status)
	}
	return nil
}
