/** A pod's service account as the credential (client-go/rest InClusterConfig). */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { UpstreamCredential } from './credential.ts'
import { endpointOf } from './endpoint.ts'

/** What kubelet gives every pod. */
export interface InCluster {
  readonly host: string
  readonly port: string
  /** Folder with `token` and `ca.crt`. */
  readonly folder: string
}

/** @throws ConfigError with every problem found */
export function loadInCluster({ host, port, folder }: InCluster): UpstreamCredential {
  const problems: ConfigProblem[] = []
  const read = (name: string): string => {
    const file = resolve(folder, name)
    try {
      return readFileSync(file, 'utf8').trim()
    } catch (error) {
      problems.push({
        file,
        line: undefined,
        column: undefined,
        field: 'upstream.inCluster',
        message: `cannot be read: ${(error as Error).message}`,
        mend: 'run in a pod with a service account (automountServiceAccountToken: true)',
      })
      return ''
    }
  }
  const token = read('token')
  const ca = read('ca.crt')
  if (host === '') {
    problems.push({
      file: folder,
      line: undefined,
      column: undefined,
      field: 'upstream.inCluster',
      message: 'KUBERNETES_SERVICE_HOST is not set',
      mend: 'run in a pod, or use upstream.kubeconfig',
    })
  }
  if (problems.length > 0) throw new ConfigError(problems)
  const authority = host.includes(':') ? `[${host}]` : host
  return {
    endpoint: endpointOf(
      new URL(`https://${authority}:${port}`),
      { ca, cert: undefined, key: undefined },
      undefined,
    ),
    token,
    files: [resolve(folder, 'token'), resolve(folder, 'ca.crt')],
  }
}
