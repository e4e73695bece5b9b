package main

import (
	"context"
	"runtime"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// node is the Node object that this kubelet reports.
type node struct {
	name    string
	version string
	port    int
}

// register creates the Node if it does not exist, and reports that it is ready and where this
// kubelet listens. It must be repeated, or the node controller considers the node dead.
func (n node) register(ctx context.Context, client kubernetes.Interface) error {
	nodes := client.CoreV1().Nodes()
	object, err := nodes.Get(ctx, n.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		object, err = nodes.Create(ctx, &v1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: map[string]string{v1.LabelHostname: n.name}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	capacity := v1.ResourceList{
		v1.ResourceCPU:    resource.MustParse("4"),
		v1.ResourceMemory: resource.MustParse("8Gi"),
		v1.ResourcePods:   resource.MustParse("500"),
	}
	object.Status.Capacity, object.Status.Allocatable = capacity, capacity
	object.Status.Addresses = []v1.NodeAddress{
		{Type: v1.NodeInternalIP, Address: "127.0.0.1"},
		{Type: v1.NodeHostName, Address: n.name},
	}
	object.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(n.port)
	object.Status.NodeInfo = v1.NodeSystemInfo{
		OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
		OSImage: "none", KernelVersion: "none", ContainerRuntimeVersion: "none://0", KubeletVersion: n.version,
	}
	now := metav1.Now()
	object.Status.Conditions = []v1.NodeCondition{{
		Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "StandIn", Message: "stand-in kubelet",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	_, err = nodes.UpdateStatus(ctx, object, metav1.UpdateOptions{})
	return err
}
