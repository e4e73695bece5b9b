package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// net/http does not cancel a request's context when the client of a hijacked (upgraded) connection
// disconnects. The streaming code always has a read pending on an upgraded connection, so the first
// read that fails means that the client is gone. The contexts of its requests are canceled then.

type trackingListener struct{ net.Listener }

func (l trackingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &trackedConn{Conn: conn, ended: make(chan struct{})}, nil
}

type trackedConn struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	// A timeout is not an end: net/http interrupts a read with a deadline when a handler hijacks.
	if err != nil && !isTimeout(err) {
		c.end()
	}
	return n, err
}

func (c *trackedConn) Close() error {
	c.end()
	return c.Conn.Close()
}

func (c *trackedConn) end() { c.once.Do(func() { close(c.ended) }) }

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// withConnectionEnd is an http.Server.ConnContext: it cancels requests when their connection ends.
func withConnectionEnd(ctx context.Context, conn net.Conn) context.Context {
	tracked, ok := conn.(*tls.Conn).NetConn().(*trackedConn)
	if !ok {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-tracked.ended
		cancel()
	}()
	return ctx
}
