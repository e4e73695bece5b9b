import { stringify } from 'yaml'

/** The cluster of a kubeconfig. */
export interface KubeconfigCluster {
  readonly name: string
  /** The origin of the Kubernetes API. */
  readonly server: string
  /** PEM; undefined for a public CA. */
  readonly certificateAuthority: string | undefined
}

/**
 * A kubeconfig without a secret: the one that `gatehouse kubeconfig` prints (client/kubeconfig/stanza.ts).
 *
 * @param method of the credential plugin; undefined: the one that it chooses by itself
 */
export function kubeconfigFile(cluster: KubeconfigCluster, method: string | undefined): string {
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'gatehouse',
    args: [
      'get-token',
      `--server=${cluster.server}`,
      ...(method === undefined ? [] : [`--method=${method}`]),
    ],
    installHint:
      'The command "gatehouse" is missing: install the package that your Gatehouse administrator gives you.\n',
    interactiveMode: 'IfAvailable',
    provideClusterInfo: true,
  }
  return kubeconfig(cluster, cluster.name, { exec })
}

/**
 * A kubeconfig for a client certificate.
 *
 * @param user the name of user and context
 * @param keyFile beside the kubeconfig: kubectl reads relative paths so
 */
export function certificateKubeconfig(
  cluster: KubeconfigCluster,
  user: string,
  certificatePem: string,
  keyFile: string,
): string {
  return kubeconfig(cluster, user, {
    'client-certificate-data': Buffer.from(certificatePem).toString('base64'),
    'client-key': keyFile,
  })
}

function kubeconfig(
  { name, server, certificateAuthority: ca }: KubeconfigCluster,
  userName: string,
  user: object,
): string {
  const cluster = {
    server,
    ...(ca === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
  }
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name: userName, user }],
    contexts: [{ name: userName, context: { cluster: name, user: userName } }],
    'current-context': userName,
  })
}
