package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// net/http does not end a request's context when the client of a hijacked (upgraded) connection
// goes away. The streaming code reads every upgraded connection all the time, so its first failed
// read is the moment at which the client is gone; the context of all that it asked for ends then.

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
	// net/http itself interrupts a read by a deadline when a handler hijacks: not an end.
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

// withConnectionEnd is http.Server.ConnContext: requests of a connection end with it.
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
