/** Endpoint and credential of a pod's service account (client-go/rest InClusterConfig). */
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
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

/** Characters of an environment variable in a message. */
const MAX_SHOWN = 100

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
  const url = apiServerUrl(host, port)
  if (url === undefined) {
    add(
      folder,
      `cannot be used: KUBERNETES_SERVICE_HOST ${quoted(host)} and KUBERNETES_SERVICE_PORT ${quoted(port)} are not a host and a port`,
      'do not set them for the pod: Kubernetes sets both in every container',
    )
  }
  const token = read('token', isBearerToken, NOT_A_TOKEN)
  const ca = read('ca.crt', isCertificate, 'is not valid PEM')
  if (url === undefined || problems.length > 0) throw new ConfigError(problems)
  return {
    endpoint: endpointOf(url, { ca, cert: undefined, key: undefined }, undefined),
    token,
    files: [resolve(folder, 'token'), resolve(folder, 'ca.crt')],
    secretFiles: [resolve(folder, 'token')],
  }
}

/** Undefined unless they are a name or an address, and a port; a URL would take more for a part of it. */
function apiServerUrl(host: string, port: string): URL | undefined {
  const isHost = isIP(host) !== 0 || /^[a-z\d](?:[-a-z\d.]*[a-z\d])?$/i.test(host)
  if (!isHost || !/^\d{1,5}$/.test(port) || Number(port) === 0) return undefined
  return URL.parse(`https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`) ?? undefined
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, MAX_SHOWN))
