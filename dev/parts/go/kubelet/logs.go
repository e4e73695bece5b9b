package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// logQuery has the fields of PodLogOptions that a kubelet uses.
type logQuery struct {
	follow     bool
	previous   bool
	timestamps bool
	tail       int // in lines; -1 means all
	limitBytes int // -1 means no limit
	since      time.Time
}

func parseLogQuery(query url.Values, now time.Time) (logQuery, error) {
	q := logQuery{
		follow:     query.Get("follow") == "true",
		previous:   query.Get("previous") == "true",
		timestamps: query.Get("timestamps") == "true",
	}
	var err error
	if q.tail, err = count(query, "tailLines"); err != nil {
		return q, err
	}
	if q.limitBytes, err = count(query, "limitBytes"); err != nil {
		return q, err
	}
	seconds, err := count(query, "sinceSeconds")
	if err != nil {
		return q, err
	}
	if seconds >= 0 {
		q.since = now.Add(-time.Duration(seconds) * time.Second)
	}
	if at := query.Get("sinceTime"); at != "" {
		if q.since, err = time.Parse(time.RFC3339, at); err != nil {
			return q, fmt.Errorf("sinceTime: %w", err)
		}
	}
	return q, nil
}

func count(query url.Values, name string) (int, error) {
	text := query.Get(name)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return -1, fmt.Errorf("%s: %q is not a non-negative number", name, text)
	}
	return n, nil
}

func (p *pods) serveLogs(w http.ResponseWriter, r *http.Request) {
	c := p.container(w, r)
	if c == nil {
		return
	}
	q, err := parseLogQuery(r.URL.Query(), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if q.previous {
		http.Error(w, fmt.Sprintf("previous terminated container %q in pod %q not found", c.name, c.pod.name), http.StatusBadRequest)
		return
	}
	lines, next, _ := c.from(0)
	if q.tail >= 0 && q.tail < len(lines) {
		lines = lines[len(lines)-q.tail:]
	}
	written := 0
	write := func(line logLine) error {
		if line.at.Before(q.since) {
			return nil
		}
		text := line.text + "\n"
		if q.timestamps {
			text = line.at.UTC().Format(time.RFC3339Nano) + " " + text
		}
		if q.limitBytes >= 0 && written+len(text) > q.limitBytes {
			text = text[:q.limitBytes-written]
		}
		n, err := w.Write([]byte(text))
		written += n
		if err == nil && q.limitBytes >= 0 && written >= q.limitBytes {
			return errLimit
		}
		return err
	}
	w.Header().Set("Content-Type", "text/plain")
	for _, line := range lines {
		if write(line) != nil {
			return
		}
	}
	if !q.follow {
		return
	}
	defer p.sessions.begin("logs", c.pod, c.name)()
	flusher := http.NewResponseController(w)
	_ = flusher.Flush()
	c.follow(r.Context(), next, func(line logLine) error {
		if err := write(line); err != nil {
			return err
		}
		return flusher.Flush()
	})
}

var errLimit = fmt.Errorf("limitBytes reached")
