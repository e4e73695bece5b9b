/** What the environment tells a pod about its cluster (client-go/rest InClusterConfig). */
const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'

export interface InClusterEnvironment {
  /** `''` outside of a pod. */
  readonly host: string
  readonly port: string
  readonly folder: string
}

/** @param environment such as `process.env` */
export function inClusterFrom(
  environment: Readonly<Record<string, string | undefined>>,
): InClusterEnvironment {
  return {
    host: environment['KUBERNETES_SERVICE_HOST'] ?? '',
    port: environment['KUBERNETES_SERVICE_PORT'] ?? '443',
    folder: SERVICE_ACCOUNT_FOLDER,
  }
}
