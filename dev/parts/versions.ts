/**
 * Which version of each real part is built. Kubernetes' own modules under dev/parts/go are pinned
 * by their go.mod and go.sum; those here are verified by Go's checksum database.
 */
export const versions = {
  kubernetes: 'v1.36.3',
  etcd: 'v3.6.13',
  h2spec: 'v2.2.1',
} as const

/** The oldest Go that the modules above accept (`go` directive of k8s.io/kubernetes). */
export const oldestGo = '1.26.0'
