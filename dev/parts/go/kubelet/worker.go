package main

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// workPods does the work of a scheduler and a kubelet: it binds pods, runs them, reports their status,
// and confirms their deletion (without which kubectl delete would wait forever).
func workPods(ctx context.Context, client kubernetes.Interface, nodeName string, pods *pods) error {
	worker := podWorker{ctx, client, nodeName, pods}
	factory := informers.NewSharedInformerFactory(client, 10*time.Second)
	informer := factory.Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { worker.settle(object) },
		UpdateFunc: func(_, object any) { worker.settle(object) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if gone, ok := object.(*v1.Pod); ok {
				pods.remove(gone.Namespace, gone.Name, string(gone.UID))
			}
		},
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	return nil
}

type podWorker struct {
	ctx      context.Context
	client   kubernetes.Interface
	nodeName string
	pods     *pods
}

// settle takes a pod one step further. If that fails, the informer's next resync tries again.
func (w podWorker) settle(object any) {
	pod, ok := object.(*v1.Pod)
	if !ok {
		return
	}
	err := w.step(pod)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && w.ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "kubelet: pod %s/%s: %v\n", pod.Namespace, pod.Name, err)
	}
}

func (w podWorker) step(pod *v1.Pod) error {
	api := w.client.CoreV1().Pods(pod.Namespace)
	switch {
	case pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0:
		return api.Bind(w.ctx, &v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
			Target:     v1.ObjectReference{Kind: "Node", Name: w.nodeName},
		}, metav1.CreateOptions{})
	case pod.Spec.NodeName != w.nodeName:
		return nil
	case pod.DeletionTimestamp != nil:
		w.pods.remove(pod.Namespace, pod.Name, string(pod.UID))
		now, uid := int64(0), types.UID(pod.UID)
		return api.Delete(w.ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
		})
	case pod.Status.Phase == v1.PodRunning || pod.Status.Phase == v1.PodPending:
		if err := w.pods.run(pod); err != nil {
			return err
		}
		if pod.Status.Phase == v1.PodRunning {
			return nil
		}
		_, err := api.UpdateStatus(w.ctx, running(pod), metav1.UpdateOptions{})
		return err
	}
	return nil
}

// running returns a copy of pod with the status of a pod whose containers are all running.
func running(pod *v1.Pod) *v1.Pod {
	pod = pod.DeepCopy()
	now := metav1.Now()
	pod.Status.Phase = v1.PodRunning
	pod.Status.HostIP, pod.Status.PodIP = "127.0.0.1", "127.0.0.1"
	pod.Status.HostIPs = []v1.HostIP{{IP: "127.0.0.1"}}
	pod.Status.PodIPs = []v1.PodIP{{IP: "127.0.0.1"}}
	pod.Status.StartTime = &now
	pod.Status.Conditions = nil
	for _, condition := range []v1.PodConditionType{v1.PodScheduled, v1.PodInitialized, v1.ContainersReady, v1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, v1.PodCondition{
			Type: condition, Status: v1.ConditionTrue, LastTransitionTime: now,
		})
	}
	pod.Status.ContainerStatuses = nil
	started := true
	for _, container := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, v1.ContainerStatus{
			Name: container.Name, Image: container.Image, ImageID: "none", ContainerID: "none://" + string(pod.UID) + "/" + container.Name,
			Ready: true, Started: &started,
			State: v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now}},
		})
	}
	return pod
}
