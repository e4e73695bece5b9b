/**
 * Gatehouse's own way to the API server: endpoint and credential out of a kubeconfig, or of a pod's
 * service account (client-go/tools/clientcmd, client-go/rest InClusterConfig).
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import { z } from 'zod'

import { loadDocument, type LoadedDocument } from '../config/document.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { UpstreamEndpoint } from './transport.ts'

export interface UpstreamCredential {
  readonly endpoint: UpstreamEndpoint
  /** Bearer token, without the scheme; undefined when the client certificate is the credential. */
  readonly token: string | undefined
  /** Files whose change makes this stale. */
  readonly files: readonly string[]
}

export type UpstreamSource =
  | { readonly kubeconfig: string; readonly context: string | undefined }
  | { readonly inCluster: InCluster }

/** What kubelet gives every pod. */
export interface InCluster {
  readonly host: string
  readonly port: string
  /** Folder with `token` and `ca.crt`. */
  readonly folder: string
}

/** Fields that Gatehouse reads; others are another client's business, so the objects are loose. */
const kubeconfigSchema = z.looseObject({
  clusters: z.array(
    z.looseObject({
      name: z.string(),
      cluster: z.looseObject({
        server: z.string(),
        'certificate-authority': z.string().optional(),
        'certificate-authority-data': z.string().optional(),
        'tls-server-name': z.string().optional(),
        'insecure-skip-tls-verify': z.boolean().optional(),
        'proxy-url': z.string().optional(),
      }),
    }),
  ),
  users: z.array(
    z.looseObject({
      name: z.string(),
      user: z.looseObject({
        'client-certificate': z.string().optional(),
        'client-certificate-data': z.string().optional(),
        'client-key': z.string().optional(),
        'client-key-data': z.string().optional(),
        token: z.string().optional(),
        tokenFile: z.string().optional(),
        username: z.string().optional(),
        exec: z.unknown().optional(),
        'auth-provider': z.unknown().optional(),
        as: z.string().optional(),
      }),
    }),
  ),
  contexts: z.array(
    z.looseObject({
      name: z.string(),
      context: z.looseObject({ cluster: z.string(), user: z.string() }),
    }),
  ),
  'current-context': z.string().optional(),
})

type Kubeconfig = z.infer<typeof kubeconfigSchema>
type Cluster = Kubeconfig['clusters'][number]['cluster']
type User = Kubeconfig['users'][number]['user']

/**
 * Loads endpoint and credential.
 *
 * @throws ConfigError with every problem found
 */
export function loadUpstreamCredential(source: UpstreamSource): UpstreamCredential {
  return 'inCluster' in source ? loadInCluster(source.inCluster) : loadKubeconfig(source)
}

function loadKubeconfig(source: {
  readonly kubeconfig: string
  readonly context: string | undefined
}): UpstreamCredential {
  const { kubeconfig: file } = source
  const document = loadDocument(file, kubeconfigSchema)
  const reader = new Reader(file, document)
  const config = document.value
  const contextName = source.context ?? config['current-context'] ?? ''
  const contextIndex = config.contexts.findIndex(({ name }) => name === contextName)
  const context = config.contexts[contextIndex]?.context
  if (context === undefined) {
    throw reader.fail(
      ['current-context'],
      `there is no context ${JSON.stringify(contextName)}`,
      `one of: ${config.contexts.map(({ name }) => name).join(', ')}`,
    )
  }
  const clusterIndex = config.clusters.findIndex(({ name }) => name === context.cluster)
  const userIndex = config.users.findIndex(({ name }) => name === context.user)
  const cluster = config.clusters[clusterIndex]?.cluster
  const user = config.users[userIndex]?.user
  if (cluster === undefined) {
    throw reader.fail(
      ['contexts', contextIndex, 'context', 'cluster'],
      `there is no cluster ${JSON.stringify(context.cluster)}`,
      'name a cluster of this file',
    )
  }
  if (user === undefined) {
    throw reader.fail(
      ['contexts', contextIndex, 'context', 'user'],
      `there is no user ${JSON.stringify(context.user)}`,
      'name a user of this file',
    )
  }
  const clusterPath = ['clusters', clusterIndex, 'cluster']
  const userPath = ['users', userIndex, 'user']
  checkCluster(cluster, clusterPath, reader)
  checkUser(user, userPath, reader)
  const ca = reader.pem(clusterPath, 'certificate-authority', cluster, isCertificate)
  const cert = reader.pem(userPath, 'client-certificate', user, isCertificate)
  const key = reader.pem(userPath, 'client-key', user, isPrivateKey)
  const token = readToken(user, userPath, reader)
  if (ca === undefined) {
    reader.problem(
      clusterPath,
      'no certificate authority',
      'add certificate-authority-data: Gatehouse sends its credential to nobody unverified',
    )
  }
  if ((cert === undefined) !== (key === undefined)) {
    reader.problem(userPath, 'client-certificate and client-key belong together', 'give both')
  }
  if (cert === undefined && token === undefined) {
    reader.problem(
      userPath,
      'no credential',
      'give a client certificate and key, token or tokenFile',
    )
  }
  const url = serverUrl(cluster.server, [...clusterPath, 'server'], reader)
  if (reader.problems.length > 0 || ca === undefined || url === undefined) {
    throw new ConfigError(reader.problems)
  }
  return {
    endpoint: endpointOf(url, { ca, cert, key }, cluster['tls-server-name']),
    token: cert === undefined ? token : undefined,
    files: [file, ...reader.files],
  }
}

function checkCluster(cluster: Cluster, path: Path, reader: Reader): void {
  if (cluster['insecure-skip-tls-verify'] === true) {
    reader.problem(
      [...path, 'insecure-skip-tls-verify'],
      'verification of the API server must not be skipped',
      'remove it and give certificate-authority-data',
    )
  }
  if (cluster['proxy-url'] !== undefined) {
    reader.problem([...path, 'proxy-url'], 'is not supported', 'give Gatehouse a direct way')
  }
}

function checkUser(user: User, path: Path, reader: Reader): void {
  for (const field of ['exec', 'auth-provider', 'username', 'as'] as const) {
    if (user[field] === undefined) continue
    reader.problem(
      [...path, field],
      'is not supported for Gatehouse’s own credential',
      'use a client certificate, token or tokenFile (a service account of its own)',
    )
  }
}

function readToken(user: User, path: Path, reader: Reader): string | undefined {
  // client-go: tokenFile wins over token.
  if (user.tokenFile === undefined) return user.token
  const token = reader.file([...path, 'tokenFile'], user.tokenFile)?.trim()
  if (token === '') reader.problem([...path, 'tokenFile'], 'the file is empty', 'write the token')
  return token
}

function serverUrl(server: string, path: Path, reader: Reader): URL | undefined {
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url === undefined || url.protocol !== 'https:' || url.username !== '') {
    reader.problem(path, `${JSON.stringify(server)} is no https URL`, 'https://HOST:PORT')
    return undefined
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    reader.problem(path, 'a path behind the host is not supported', 'https://HOST:PORT')
    return undefined
  }
  return url
}

function endpointOf(
  url: URL,
  tls: { ca: string; cert: string | undefined; key: string | undefined },
  serverName: string | undefined,
): UpstreamEndpoint {
  const hostname = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
  return {
    hostname,
    port: url.port === '' ? 443 : Number(url.port),
    host: url.host,
    tls: { ...tls, serverName: serverName ?? hostname },
  }
}

function loadInCluster({ host, port, folder }: InCluster): UpstreamCredential {
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

type Path = readonly (string | number)[]

/** Reads what the document points at, collecting problems with the place in the kubeconfig. */
class Reader {
  readonly problems: ConfigProblem[] = []
  readonly files: string[] = []
  readonly #file: string
  readonly #document: LoadedDocument<Kubeconfig>

  constructor(file: string, document: LoadedDocument<Kubeconfig>) {
    this.#file = file
    this.#document = document
  }

  problem(path: Path, message: string, mend: string): void {
    const { line, column } = this.#document.locate(path)
    this.problems.push({ file: this.#file, line, column, field: path.join('.'), message, mend })
  }

  fail(path: Path, message: string, mend: string): ConfigError {
    this.problem(path, message, mend)
    return new ConfigError(this.problems)
  }

  /** A file named in the kubeconfig, relative to it. */
  file(path: Path, name: string): string | undefined {
    const file = resolve(dirname(this.#file), name)
    this.files.push(file)
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      this.problem(
        path,
        `${file} cannot be read: ${(error as Error).message}`,
        'give a readable file',
      )
      return undefined
    }
  }

  /** PEM from `FIELD-data` (base64) or the file that `FIELD` names; `-data` wins, as in client-go. */
  pem(
    path: Path,
    field: string,
    object: Readonly<Record<string, unknown>>,
    isGood: (pem: string) => boolean,
  ): string | undefined {
    const data = object[`${field}-data`]
    const name = object[field]
    const inline = typeof data === 'string' && data !== ''
    const at = [...path, inline ? `${field}-data` : field]
    const pem = inline
      ? Buffer.from(data, 'base64').toString('utf8')
      : typeof name === 'string' && name !== ''
        ? this.file(at, name)
        : undefined
    if (pem !== undefined && !isGood(pem)) {
      this.problem(at, 'is not valid PEM', 'give PEM, in the -data form encoded as base64')
    }
    return pem
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).type === 'private'
  } catch {
    return false
  }
}
