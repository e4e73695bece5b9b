package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const (
	tickInterval = 200 * time.Millisecond
	keptLines    = 10_000
)

type logLine struct {
	at   time.Time
	text string
}

// container simulates the process that logs and attach see: it prints "tick N" five times per second,
// "echo: LINE" for each line of its stdin, and "size WxH" when the size of an attached terminal changes.
type container struct {
	pod  *pod
	name string

	mutex   sync.Mutex
	lines   []logLine
	dropped int           // lines before lines[0]
	more    chan struct{} // closed and replaced when there are more lines
	ended   chan struct{} // closed when the container has ended
}

func startContainer(ctx context.Context, pod *pod, name string) *container {
	c := &container{pod: pod, name: name, more: make(chan struct{}), ended: make(chan struct{})}
	c.print(fmt.Sprintf("started %s/%s/%s", pod.namespace, pod.name, name))
	go func() {
		defer close(c.ended)
		ticker := time.NewTicker(tickInterval)
		defer ticker.Stop()
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				c.print(fmt.Sprintf("tick %d", n))
			}
		}
	}()
	return c
}

func (c *container) print(text string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.lines = append(c.lines, logLine{time.Now(), text})
	if len(c.lines) > keptLines {
		c.dropped += len(c.lines) - keptLines
		c.lines = c.lines[len(c.lines)-keptLines:]
	}
	close(c.more)
	c.more = make(chan struct{})
}

// from returns the lines from position on, the position after them, and a channel that is closed when
// there are more.
func (c *container) from(position int) ([]logLine, int, <-chan struct{}) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	start := min(max(position-c.dropped, 0), len(c.lines))
	lines := append([]logLine(nil), c.lines[start:]...)
	return lines, c.dropped + len(c.lines), c.more
}

// follow passes every line from position on to write, until write fails, ctx ends or the container ends.
func (c *container) follow(ctx context.Context, position int, write func(logLine) error) {
	for {
		lines, next, more := c.from(position)
		for _, line := range lines {
			if write(line) != nil {
				return
			}
		}
		position = next
		select {
		case <-more:
		case <-ctx.Done():
			return
		case <-c.ended:
			return
		}
	}
}

type attacher struct {
	pods      *pods
	container *container
}

// AttachContainer connects a client to the container: its new output, and stdin line by line.
func (a attacher) AttachContainer(ctx context.Context, _, _, _ string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	defer a.pods.sessions.begin("attach", a.container.pod, a.container.name)()
	newline := "\n"
	if tty {
		newline = "\r\n"
	}
	_, position, _ := a.container.from(0)
	if in != nil {
		go func() {
			input := bufio.NewScanner(in)
			input.Split(scanTerminalLines)
			for input.Scan() {
				a.container.print("echo: " + input.Text())
			}
		}()
	}
	if resize != nil {
		go func() {
			for size := range resize {
				a.container.print(fmt.Sprintf("size %dx%d", size.Width, size.Height))
			}
		}()
	}
	a.container.follow(ctx, position, func(line logLine) error {
		if out == nil {
			return nil
		}
		_, err := io.WriteString(out, line.text+newline)
		return err
	})
	return nil
}

// scanTerminalLines is like bufio.ScanLines, but also splits at a carriage return, which a raw
// terminal sends for Enter.
func scanTerminalLines(data []byte, atEOF bool) (int, []byte, error) {
	for i, b := range data {
		if b == '\n' || b == '\r' {
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
