package main

import (
	"sync"
	"time"
)

// session is an open exec, attach, forwarded port or followed log.
type session struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Detail    []string  `json:"detail"`
	Since     time.Time `json:"since"`
}

type sessions struct {
	mutex sync.Mutex
	open  map[*session]struct{}
}

// begin records a session and returns the function that ends it.
func (s *sessions) begin(kind string, pod *pod, detail ...string) func() {
	entry := &session{Kind: kind, Namespace: pod.namespace, Pod: pod.name, Detail: detail, Since: time.Now()}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.open[entry] = struct{}{}
	return func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.open, entry)
	}
}

func (s *sessions) list() []*session {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	list := make([]*session, 0, len(s.open))
	for entry := range s.open {
		list = append(list, entry)
	}
	return list
}

// waitForNone returns when no session is open, or after limit.
func (s *sessions) waitForNone(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end) && len(s.list()) > 0; {
		time.Sleep(10 * time.Millisecond)
	}
}
