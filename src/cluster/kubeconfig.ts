/**
 * Endpoint and credential from a kubeconfig. Settings that would weaken the connection to the API
 * server, or that Gatehouse cannot apply to every request, are refused.
 */
import { dirname, resolve } from 'node:path'

import { loadDocument } from '../config/document.ts'
import type { Path } from '../config/path.ts'
import { ConfigError, fileProblem } from '../config/problem.ts'
import { isBearerToken, NOT_A_TOKEN, type UpstreamCredential } from './credential.ts'
import { endpointOf } from './endpoint.ts'
import {
  belongsTo,
  createKubeconfigReader,
  isCertificate,
  isPrivateKey,
  type KubeconfigReader,
} from './kubeconfig-reader.ts'
import { kubeconfigSchema, type Cluster, type Kubeconfig, type User } from './kubeconfig-schema.ts'

interface Selection {
  readonly cluster: Cluster
  readonly clusterPath: Path
  readonly user: User
  readonly userPath: Path
}

/** @throws ConfigError with every problem found */
export function loadKubeconfig(source: {
  readonly kubeconfig: string
  readonly context: string | undefined
}): UpstreamCredential {
  const { kubeconfig: file } = source
  const document = loadDocument(file, kubeconfigSchema)
  const reader = createKubeconfigReader(file, document)
  const { cluster, clusterPath, user, userPath } = select(document.value, source.context, reader)
  const ca = readAuthority(cluster, clusterPath, reader)
  const { cert, key, token } = readCredential(user, userPath, reader)
  const url = serverUrl(cluster.server, [...clusterPath, 'server'], reader)
  if (reader.problems.length > 0 || ca === undefined || url === undefined) {
    throw new ConfigError(reader.problems)
  }
  return {
    endpoint: endpointOf(url, { ca, cert, key }, cluster['tls-server-name']),
    token,
    files: [file, ...reader.files],
    secretFiles: secretFiles(file, user),
  }
}

/** The kubeconfig itself if the secret is in it, and the files with secrets that it names. */
function secretFiles(file: string, user: User): string[] {
  const isInline = [user['client-key-data'], user.token].some((value) => (value ?? '') !== '')
  const named = [user['client-key'], user.tokenFile].flatMap((name) =>
    name === undefined || name === '' ? [] : [resolve(dirname(file), name)],
  )
  return isInline ? [file, ...named] : named
}

/**
 * Selects the cluster and the user of the context.
 *
 * @param wanted `upstream.context`; undefined for `current-context`
 */
function select(
  config: Kubeconfig,
  wanted: string | undefined,
  reader: KubeconfigReader,
): Selection {
  const contextName = wanted ?? config['current-context']
  const contextIndex = indexOf(config.contexts, contextName)
  const context = config.contexts[contextIndex]?.context
  if (context === undefined) throw noContext(config, wanted, reader)
  const clusterIndex = indexOf(config.clusters, context.cluster)
  const userIndex = indexOf(config.users, context.user)
  const cluster = config.clusters[clusterIndex]?.cluster
  const user = config.users[userIndex]?.user
  const missing = (field: 'cluster' | 'user'): ConfigError => {
    const named = context[field]
    const message =
      named === undefined ? 'is required' : `there is no ${field} ${JSON.stringify(named)}`
    const path = ['contexts', contextIndex, 'context', field]
    return reader.fail(path, message, `name a ${field} of this file`)
  }
  if (cluster === undefined) throw missing('cluster')
  if (user === undefined) throw missing('user')
  return {
    cluster,
    clusterPath: ['clusters', clusterIndex, 'cluster'],
    user,
    userPath: ['users', userIndex, 'user'],
  }
}

/** The index of the entry of this name, -1 without one or without a name. */
function indexOf(
  entries: readonly { readonly name: string | undefined }[],
  wanted: string | undefined,
): number {
  return wanted === undefined ? -1 : entries.findIndex(({ name }) => name === wanted)
}

/** A missing context that gatehouse.yaml names is a problem of its `upstream.context`, not of this file. */
function noContext(
  { contexts, 'current-context': current }: Kubeconfig,
  wanted: string | undefined,
  reader: KubeconfigReader,
): ConfigError {
  const names = contexts.flatMap(({ name }) => name ?? []).join(', ')
  const fix = names === '' ? 'add a context' : `must be one of: ${names}`
  if (wanted === undefined) {
    const message =
      current === undefined
        ? 'is required, since upstream.context is not set'
        : `there is no context ${JSON.stringify(current)}`
    return reader.fail(['current-context'], message, fix)
  }
  return new ConfigError([
    fileProblem(
      reader.document,
      `has no context ${JSON.stringify(wanted)}`,
      fix,
      'upstream.context',
    ),
  ])
}

function readAuthority(cluster: Cluster, path: Path, reader: KubeconfigReader): string | undefined {
  if (cluster['proxy-url'] !== undefined) {
    reader.problem(
      [...path, 'proxy-url'],
      'is not supported',
      'remove it: Gatehouse connects directly',
    )
  }
  const { isGiven, pem } = reader.pem(path, 'certificate-authority', cluster, isCertificate)
  if (cluster['insecure-skip-tls-verify']) {
    reader.problem(
      [...path, 'insecure-skip-tls-verify'],
      "the API server's certificate must be verified",
      isGiven ? 'remove this field' : 'remove this field and set certificate-authority-data',
    )
  } else if (!isGiven) {
    reader.problem(
      path,
      'no certificate authority is set',
      'set certificate-authority-data: Gatehouse verifies the API server before it sends its credential',
    )
  }
  return pem
}

interface ReadCredential {
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly token: string | undefined
}

/** A certificate takes precedence over a token, as at the API server; only one of them is sent. */
function readCredential(user: User, path: Path, reader: KubeconfigReader): ReadCredential {
  const refused = refuseUnsupported(user, path, reader)
  const cert = reader.pem(path, 'client-certificate', user, isCertificate)
  const key = reader.pem(path, 'client-key', user, isPrivateKey)
  const hasToken = user.token !== undefined || user.tokenFile !== undefined
  const token = readToken(user, path, reader)
  if (cert.isGiven !== key.isGiven) {
    reader.problem(path, 'client-certificate and client-key must be set together', 'set both')
  } else if (cert.pem !== undefined && key.pem !== undefined && !belongsTo(key.pem, cert.pem)) {
    reader.problem(
      key.at,
      'is not the private key of the client certificate',
      'use the key of the same pair',
    )
  }
  if (!cert.isGiven && !key.isGiven && !hasToken && !refused) {
    reader.problem(
      path,
      'no credential is set',
      'set a client certificate and key, token or tokenFile',
    )
  }
  return { cert: cert.pem, key: key.pem, token: cert.isGiven ? undefined : token }
}

/** Adds problems for unsupported credentials; returns whether there was one. */
function refuseUnsupported(user: User, path: Path, reader: KubeconfigReader): boolean {
  const unsupported = (
    ['exec', 'auth-provider', 'username', 'as', 'as-uid', 'as-groups', 'as-user-extra'] as const
  ).filter((field) => user[field] !== undefined)
  for (const field of unsupported) {
    reader.problem(
      [...path, field],
      "is not supported for Gatehouse's own credential",
      'use a client certificate, token or tokenFile, such as those of a dedicated service account',
    )
  }
  return unsupported.some((field) => !field.startsWith('as'))
}

function readToken(user: User, path: Path, reader: KubeconfigReader): string | undefined {
  // As in client-go, tokenFile takes precedence over token.
  if (user.tokenFile === undefined) {
    const { token } = user
    if (token !== undefined && !isBearerToken(token)) {
      reader.problem([...path, 'token'], NOT_A_TOKEN, 'set the token alone')
    }
    return token
  }
  const at = [...path, 'tokenFile']
  const token = reader.file(at, user.tokenFile)?.trim()
  if (token === '') reader.problem(at, 'the file is empty', 'write the token to the file')
  else if (token !== undefined && !isBearerToken(token)) {
    reader.problem(at, `the file ${NOT_A_TOKEN}`, 'write only the token to the file')
  }
  return token
}

function serverUrl(
  server: string | undefined,
  path: Path,
  reader: KubeconfigReader,
): URL | undefined {
  if (server === undefined) {
    reader.problem(path, 'is required', 'use https://HOST:PORT')
    return undefined
  }
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url?.protocol !== 'https:' || url.username !== '') {
    reader.problem(path, `${JSON.stringify(server)} is not an https URL`, 'use https://HOST:PORT')
    return undefined
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    reader.problem(path, 'a path, query or fragment is not supported', 'use https://HOST:PORT')
    return undefined
  }
  return url
}
