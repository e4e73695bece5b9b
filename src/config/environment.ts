/** How a pod finds its cluster (client-go/rest InClusterConfig). */
const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'

export interface InClusterEnvironment {
  /** `''` outside a pod. */
  readonly host: string
  readonly port: string
  /** Directory with the service account's `token` and `ca.crt`. */
  readonly folder: string
}

/** @param environment usually `process.env` */
export function inClusterFrom(
  environment: Readonly<Record<string, string | undefined>>,
): InClusterEnvironment {
  return {
    host: environment['KUBERNETES_SERVICE_HOST'] ?? '',
    port: environment['KUBERNETES_SERVICE_PORT'] ?? '443',
    folder: SERVICE_ACCOUNT_FOLDER,
  }
}
