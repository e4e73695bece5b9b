package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"

	"gatehouse/bench/internal/tunnel"
)

// websocketGUID is what a server appends to the key of a handshake (RFC 6455, section 1.3).
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// exec stands in for the command in a container: `?command=send&command=N` sends N frames, and
// `?command=receive&command=N` receives N frames and then sends one.
func exec(w http.ResponseWriter, r *http.Request) {
	command := r.URL.Query()["command"]
	protocol, ok := protocolOf(r)
	if !ok || len(command) != 2 {
		http.Error(w, "exec needs an upgrade and a command with its argument", http.StatusBadRequest)
		return
	}
	frames, err := strconv.Atoi(command[1])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	writeSwitchingProtocols(buffered.Writer, protocol, r)
	if command[0] == "send" {
		_, err = protocol.Send(conn, false, frames)
	} else if _, err = protocol.Receive(buffered, true, frames); err == nil {
		_, err = protocol.Send(conn, false, 1)
	}
	if err == nil {
		// The client closes first, so that nothing is lost.
		_, _ = buffered.ReadByte()
	}
}

func protocolOf(r *http.Request) (tunnel.Protocol, bool) {
	for _, protocol := range tunnel.Protocols {
		if r.Header.Get("Upgrade") == protocol.Upgrade {
			return protocol, true
		}
	}
	return tunnel.Protocol{}, false
}

func writeSwitchingProtocols(w *bufio.Writer, protocol tunnel.Protocol, r *http.Request) {
	fmt.Fprintf(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", protocol.Upgrade)
	fmt.Fprintf(w, "%s: %s\r\n", protocol.SubprotocolHeader, protocol.Subprotocol)
	if id := r.Header.Get("Audit-ID"); id != "" {
		fmt.Fprintf(w, "Audit-Id: %s\r\n", id)
	}
	if key := r.Header.Get("Sec-Websocket-Key"); key != "" {
		digest := sha1.Sum([]byte(key + websocketGUID))
		fmt.Fprintf(w, "Sec-WebSocket-Accept: %s\r\n", base64.StdEncoding.EncodeToString(digest[:]))
	}
	fmt.Fprint(w, "\r\n")
	_ = w.Flush()
}
