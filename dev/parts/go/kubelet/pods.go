package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	v1 "k8s.io/api/core/v1"
)

// pod is a running pod. Its folder is the working directory of commands that are executed in it.
type pod struct {
	namespace, name, uid string
	dir                  string
	containers           map[string]*container
	stop                 context.CancelFunc
}

type pods struct {
	root     string
	sessions sessions

	mutex  sync.Mutex
	byName map[string]*pod
}

func newPods(root string) *pods {
	return &pods{root: root, byName: map[string]*pod{}, sessions: sessions{open: map[*session]struct{}{}}}
}

func (p *pods) find(namespace, name string) *pod {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.byName[namespace+"/"+name]
}

// run starts the containers of spec unless they are already running.
func (p *pods) run(spec *v1.Pod) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	key := spec.Namespace + "/" + spec.Name
	if running := p.byName[key]; running != nil {
		if running.uid == string(spec.UID) {
			return nil
		}
		running.stop()
	}
	dir := filepath.Join(p.root, spec.Namespace, spec.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	started := &pod{
		namespace: spec.Namespace, name: spec.Name, uid: string(spec.UID),
		dir: dir, stop: stop, containers: map[string]*container{},
	}
	for _, c := range spec.Spec.Containers {
		started.containers[c.Name] = startContainer(ctx, started, c.Name)
	}
	p.byName[key] = started
	return nil
}

// remove stops a pod's containers and removes its folder. A newer pod of the same name is not affected.
func (p *pods) remove(namespace, name, uid string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	key := namespace + "/" + name
	if running := p.byName[key]; running != nil && running.uid == uid {
		running.stop()
		delete(p.byName, key)
		_ = os.RemoveAll(running.dir)
	}
}

func (p *pods) stopAll() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, running := range p.byName {
		running.stop()
	}
}
