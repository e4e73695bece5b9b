package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
)

type portForwarder struct {
	pods *pods
	pod  *pod
}

// PortForward connects a stream to a port of 127.0.0.1, since these pods have no network of their own.
func (f portForwarder) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	defer f.pods.sessions.begin("portforward", f.pod, strconv.Itoa(int(port)))()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside the pod: %w", port, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	received := make(chan struct{})
	go func() {
		defer close(received)
		_, _ = io.Copy(stream, conn)
	}()
	go func() {
		_, _ = io.Copy(conn, stream)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	<-received
	return nil
}
