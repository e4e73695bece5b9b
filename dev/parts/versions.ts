/**
 * The version of each real part. Those built from Go modules are verified by Go's checksum database.
 * The programs under dev/parts/go pin theirs in their go.mod and go.sum.
 */
export const versions = {
  kubernetes: 'v1.36.3',
  etcd: 'v3.6.13',
  h2spec: 'v2.2.1',
  helm: 'v3.22.0',
  dex: 'v2.44.0',
  keycloak: '26.7.3',
} as const

/** The oldest Go version that the modules above accept (`go` directive of k8s.io/kubernetes). */
export const OLDEST_GO = '1.26.0'
