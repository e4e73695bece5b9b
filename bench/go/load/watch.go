package main

import (
	"bufio"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
)

// maxOpening limits the number of connections whose watches are being opened at the same time.
const maxOpening = 16

// watch opens watches, waits for the first event of each, prints how many are open, and keeps them
// open until stdin is closed.
func watch(s settings, count, perConnection int) {
	if !s.http2 {
		perConnection = 1
	}
	var open atomic.Int64
	var once sync.Once
	slots := make(chan struct{}, maxOpening)
	var started sync.WaitGroup
	for first := 0; first < count; first += perConnection {
		client := &http.Client{Transport: s.transport()}
		streams := min(perConnection, count-first)
		slots <- struct{}{}
		started.Go(func() {
			defer func() { <-slots }()
			for range streams {
				if err := openWatch(client, s); err != nil {
					once.Do(func() { log.Print(err) })
					continue
				}
				open.Add(1)
			}
		})
	}
	started.Wait()
	print(map[string]int64{"open": open.Load()})
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func openWatch(client *http.Client, s settings) error {
	response, err := client.Do(s.request())
	if err := checkOK(response, err); err != nil {
		return err
	}
	events := bufio.NewReaderSize(response.Body, 4096)
	if _, err := events.ReadString('\n'); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, events)
		_ = response.Body.Close()
	}()
	return nil
}
