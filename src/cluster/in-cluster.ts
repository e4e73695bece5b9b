/** Endpoint and credential of a pod's service account (client-go/rest InClusterConfig). */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

import { ConfigError, fileProblem, type ConfigProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import { isBearerToken, NOT_A_TOKEN, type UpstreamCredential } from './credential.ts'
import { endpointOf } from './endpoint.ts'
import { isCertificate } from './kubeconfig-reader.ts'

/** What the kubelet provides in every pod. */
export interface InCluster {
  readonly host: string
  readonly port: string
  /** Directory of `token` and `ca.crt`. */
  readonly folder: string
}

const SERVICE_ACCOUNT = 'run in a pod with a service account (automountServiceAccountToken: true)'

/**
 * Why there is no service account here to load, for a check that runs elsewhere than in the pod;
 * undefined if there is one, good or not.
 */
export function missingServiceAccount({ host, folder }: InCluster): ConfigProblem | undefined {
  const missing = (why: string): ConfigProblem =>
    fileProblem(
      folder,
      `was not checked: ${why}`,
      'run gatehouse validate --online in the pod to check it, too',
      'upstream.inCluster',
    )
  if (host === '') return missing('not running in a pod, KUBERNETES_SERVICE_HOST is not set')
  return existsSync(resolve(folder, 'token'))
    ? undefined
    : missing('this pod has no service account token')
}

/** @throws ConfigError with every problem found */
export function loadInCluster({ host, port, folder }: InCluster): UpstreamCredential {
  const problems: ConfigProblem[] = []
  const add = (file: string, message: string, fix: string): void => {
    problems.push(fileProblem(file, message, fix, 'upstream.inCluster'))
  }
  if (host === '') {
    add(
      folder,
      'is not available: not running in a pod, KUBERNETES_SERVICE_HOST is not set',
      'run in a pod, or use upstream.kubeconfig',
    )
    throw new ConfigError(problems)
  }
  const read = (name: string, isValid: (text: string) => boolean, fault: string): string => {
    const file = resolve(folder, name)
    const text = readText(file, (...problem) => add(file, ...problem), SERVICE_ACCOUNT)?.trim()
    if (text === '') add(file, 'is empty', SERVICE_ACCOUNT)
    else if (text !== undefined && !isValid(text)) add(file, fault, SERVICE_ACCOUNT)
    return text ?? ''
  }
  const token = read('token', isBearerToken, NOT_A_TOKEN)
  const ca = read('ca.crt', isCertificate, 'is not valid PEM')
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
    secretFiles: [resolve(folder, 'token')],
  }
}
