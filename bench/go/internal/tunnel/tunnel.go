// Package tunnel has what both ends of a tunnel of the bench share: the two upgrade protocols of
// kubectl, and the frames that the tunnels carry.
package tunnel

import (
	"encoding/binary"
	"fmt"
	"io"
)

// payload is the size of the data of a frame: that of the buffer with which kubectl, kube-apiserver
// and kubelet copy (io.Copy).
const payload = 32 * 1024

// Protocol is an upgrade protocol.
type Protocol struct {
	// Upgrade is the value of the Upgrade header.
	Upgrade string
	// SubprotocolHeader names the header that carries the Subprotocol, in request and response.
	SubprotocolHeader, Subprotocol string
	// Method is that of the request for the upgrade.
	Method string
	// frame returns one frame from client to server or back.
	frame func(fromClient bool) []byte
}

// Protocols by their name on the command line.
var Protocols = map[string]Protocol{
	"websocket": {"websocket", "Sec-Websocket-Protocol", "v5.channel.k8s.io", "GET", websocketFrame},
	"spdy":      {"SPDY/3.1", "X-Stream-Protocol-Version", "v4.channel.k8s.io", "POST", spdyFrame},
}

// Send writes frames, each in one write; it returns the number of bytes.
func (p Protocol) Send(w io.Writer, fromClient bool, frames int) (int64, error) {
	frame := p.frame(fromClient)
	for range frames {
		if _, err := w.Write(frame); err != nil {
			return 0, err
		}
	}
	return int64(frames) * int64(len(frame)), nil
}

// Receive reads as many bytes as Send writes; it returns their number.
func (p Protocol) Receive(r io.Reader, fromClient bool, frames int) (int64, error) {
	size := int64(frames) * int64(len(p.frame(fromClient)))
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(r, size), make([]byte, payload))
	if err == nil && n < size {
		err = fmt.Errorf("the tunnel ended after %d of %d bytes", n, size)
	}
	return n, err
}

// websocketFrame is a binary message of one frame (RFC 6455, section 5.2) with the channel of stdin or
// stdout in its first byte.
func websocketFrame(fromClient bool) []byte {
	frame := []byte{0x82, 127}
	frame = binary.BigEndian.AppendUint64(frame, payload+1)
	channel := byte(1)
	if fromClient {
		channel = 0
		// A mask of zeros leaves the data as it is.
		frame[1] |= 0x80
		frame = append(frame, 0, 0, 0, 0)
	}
	return append(append(frame, channel), make([]byte, payload)...)
}

// spdyFrame is a data frame of SPDY/3.1 on the stream of stdin or stdout.
func spdyFrame(fromClient bool) []byte {
	stream := uint32(5)
	if fromClient {
		stream = 3
	}
	frame := binary.BigEndian.AppendUint32(nil, stream)
	frame = binary.BigEndian.AppendUint32(frame, payload)
	return append(frame, make([]byte, payload)...)
}
