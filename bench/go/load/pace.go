package main

import (
	"io"
	"log"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// latency is in microseconds, from sending a request to the last byte of its response.
type latency struct {
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
}

// warmUp is the time before requests are counted, in which the connections are opened.
const warmUp = time.Second

// maxConnections is far more than the rate needs. Without a limit, a stall would cause a storm of
// handshakes, which clients that stay connected do not cause.
const maxConnections = 64

// pace sends requests at a fixed rate, whether earlier ones have a response or not, so that a slow
// response neither delays nor hides other requests (no coordinated omission).
func pace(s settings, rate float64, duration time.Duration) latency {
	transport := s.transport()
	transport.MaxConnsPerHost = maxConnections
	client := &http.Client{Transport: transport}
	gap := time.Duration(float64(time.Second) / rate)
	var mutex sync.Mutex
	var all []time.Duration
	failed := 0
	var running sync.WaitGroup
	began := time.Now()
	for due := began; due.Sub(began) < warmUp+duration; due = due.Add(gap) {
		time.Sleep(time.Until(due))
		counted := due.Sub(began) >= warmUp
		sent := time.Now()
		running.Go(func() {
			err := get(client, s)
			took := time.Since(sent)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				if failed == 0 {
					log.Print(err)
				}
				failed++
			} else if counted {
				all = append(all, took)
			}
		})
	}
	running.Wait()
	slices.Sort(all)
	return latency{len(all), failed, percentile(all, 0.50), percentile(all, 0.99)}
}

// saturate sends requests over a number of connections, each after the response to the one before, and
// returns how many per second had a response. wrk would reach more: it takes less CPU itself.
func saturate(s settings, connections int, duration time.Duration) map[string]float64 {
	transport := s.transport()
	transport.MaxConnsPerHost = connections
	client := &http.Client{Transport: transport}
	var responses atomic.Int64
	var running sync.WaitGroup
	end := time.Now().Add(duration)
	for range connections {
		running.Go(func() {
			for time.Now().Before(end) {
				if err := get(client, s); err != nil {
					log.Fatal(err)
				}
				responses.Add(1)
			}
		})
	}
	running.Wait()
	return map[string]float64{"rate": float64(responses.Load()) / duration.Seconds()}
}

func get(client *http.Client, s settings) error {
	response, err := client.Do(s.request())
	if err := checkOK(response, err); err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func percentile(sorted []time.Duration, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(float64(len(sorted)-1)*p)].Nanoseconds()) / 1000
}
