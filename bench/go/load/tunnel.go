package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"net/url"

	"gatehouse/bench/internal/tunnel"
)

// carry opens a tunnel to the stand-in for `kubectl exec` of the upstream, carries frames through it in
// one direction, and returns the number of bytes.
func carry(s settings, protocol tunnel.Protocol, up bool, frames int) map[string]int64 {
	command := "send"
	if up {
		command = "receive"
	}
	target, err := url.Parse(fmt.Sprintf("%s?command=%s&command=%d&stdin=true&stdout=true", s.url, command, frames))
	if err != nil {
		log.Fatal(err)
	}
	config := s.tls.Clone()
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", target.Host, config)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	incoming := bufio.NewReader(conn)
	upgrade(s, conn, incoming, protocol, target)
	var n int64
	if up {
		if n, err = protocol.Send(conn, true, frames); err == nil {
			_, err = protocol.Receive(incoming, false, 1)
		}
	} else {
		n, err = protocol.Receive(incoming, false, frames)
	}
	if err != nil {
		log.Fatal(err)
	}
	return map[string]int64{"bytes": n}
}

func upgrade(s settings, conn *tls.Conn, incoming *bufio.Reader, protocol tunnel.Protocol, target *url.URL) {
	request, err := http.NewRequest(protocol.Method, target.String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", protocol.Upgrade)
	request.Header.Set(protocol.SubprotocolHeader, protocol.Subprotocol)
	if protocol.Upgrade == "websocket" {
		request.Header.Set("Sec-WebSocket-Version", "13")
		request.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	}
	if err := request.Write(conn); err != nil {
		log.Fatal(err)
	}
	response, err := http.ReadResponse(incoming, request)
	if err != nil {
		log.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		log.Fatalf("unexpected status %s", response.Status)
	}
}
