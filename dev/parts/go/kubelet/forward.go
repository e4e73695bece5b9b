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

// PortForward joins a stream to a port of 127.0.0.1: a pod here has no network of its own.
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

	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(stream, conn)
	}()
	go func() {
		_, _ = io.Copy(conn, stream)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	<-answered
	return nil
}
