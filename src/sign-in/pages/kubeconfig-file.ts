import { stringify } from 'yaml'

export interface KubeconfigOptions {
  /** The name of cluster, user and context. */
  readonly name: string
  /** The origin of the Kubernetes API. */
  readonly server: string
  /** Undefined: the one that the credential plugin chooses by itself. */
  readonly method: string | undefined
  /** PEM; undefined for a public CA. */
  readonly certificateAuthority: string | undefined
}

/** A kubeconfig without a secret: the one that `gatehouse kubeconfig` prints (client/kubeconfig/stanza.ts). */
export function kubeconfigFile({
  name,
  server,
  method,
  certificateAuthority: ca,
}: KubeconfigOptions): string {
  const cluster = {
    server,
    ...(ca === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
  }
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'gatehouse',
    args: [
      'get-token',
      `--server=${server}`,
      ...(method === undefined ? [] : [`--method=${method}`]),
    ],
    installHint:
      'The command "gatehouse" is missing: install the package that your Gatehouse administrator gives you.\n',
    interactiveMode: 'IfAvailable',
    provideClusterInfo: true,
  }
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user: { exec } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  })
}
