/**
 * Endpoint and credential out of a kubeconfig. What would weaken the way to the API server, or what
 * Gatehouse could not keep to for every request, is refused.
 */
import { loadDocument } from '../config/document.ts'
import type { Path } from '../config/path.ts'
import { ConfigError } from '../config/problem.ts'
import type { UpstreamCredential } from './credential.ts'
import { endpointOf } from './endpoint.ts'
import { belongsTo, isCertificate, isPrivateKey, KubeconfigReader } from './kubeconfig-reader.ts'
import { kubeconfigSchema, type Cluster, type Kubeconfig, type User } from './kubeconfig-schema.ts'

interface Chosen {
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
  const reader = new KubeconfigReader(file, document)
  const { cluster, clusterPath, user, userPath } = choose(document.value, source.context, reader)
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
  }
}

/** The cluster and the user of the context. */
function choose(config: Kubeconfig, wanted: string | undefined, reader: KubeconfigReader): Chosen {
  const contextName = wanted ?? config['current-context'] ?? ''
  const contextIndex = config.contexts.findIndex(({ name }) => name === contextName)
  const context = config.contexts[contextIndex]?.context
  if (context === undefined) throw noContext(config, wanted, reader)
  const clusterIndex = config.clusters.findIndex(({ name }) => name === context.cluster)
  const userIndex = config.users.findIndex(({ name }) => name === context.user)
  const cluster = config.clusters[clusterIndex]?.cluster
  const user = config.users[userIndex]?.user
  const missing = (field: 'cluster' | 'user'): ConfigError =>
    reader.fail(
      ['contexts', contextIndex, 'context', field],
      `there is no ${field} ${JSON.stringify(context[field])}`,
      `name a ${field} of this file`,
    )
  if (cluster === undefined) throw missing('cluster')
  if (user === undefined) throw missing('user')
  return {
    cluster,
    clusterPath: ['clusters', clusterIndex, 'cluster'],
    user,
    userPath: ['users', userIndex, 'user'],
  }
}

/** A context that gatehouse.yaml wants is a problem of its `upstream.context`, not of this file. */
function noContext(
  { contexts, 'current-context': current }: Kubeconfig,
  wanted: string | undefined,
  reader: KubeconfigReader,
): ConfigError {
  const names = contexts.map(({ name }) => name).join(', ')
  const fix = names === '' ? 'add one' : `one of: ${names}`
  if (wanted === undefined) {
    const message =
      current === undefined
        ? 'is required, since upstream.context names no other'
        : `there is no context ${JSON.stringify(current)}`
    return reader.fail(['current-context'], message, fix)
  }
  return new ConfigError([
    {
      file: reader.document,
      line: undefined,
      column: undefined,
      field: 'upstream.context',
      message: `has no context ${JSON.stringify(wanted)}`,
      fix,
    },
  ])
}

function readAuthority(cluster: Cluster, path: Path, reader: KubeconfigReader): string | undefined {
  if (cluster['proxy-url'] !== undefined) {
    reader.problem([...path, 'proxy-url'], 'is not supported', 'give Gatehouse a direct way')
  }
  const { isGiven, pem } = reader.pem(path, 'certificate-authority', cluster, isCertificate)
  if (cluster['insecure-skip-tls-verify'] === true) {
    reader.problem(
      [...path, 'insecure-skip-tls-verify'],
      'verification of the API server must not be skipped',
      isGiven ? 'remove it' : 'remove it and give certificate-authority-data',
    )
  } else if (!isGiven) {
    reader.problem(
      path,
      'no certificate authority',
      'add certificate-authority-data: Gatehouse sends its credential to nobody unverified',
    )
  }
  return pem
}

interface ReadCredential {
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly token: string | undefined
}

/** A certificate wins over a token, as at the API server; both are never sent. */
function readCredential(user: User, path: Path, reader: KubeconfigReader): ReadCredential {
  const refused = refuseOthers(user, path, reader)
  const cert = reader.pem(path, 'client-certificate', user, isCertificate)
  const key = reader.pem(path, 'client-key', user, isPrivateKey)
  const hasToken = user.token !== undefined || user.tokenFile !== undefined
  const token = readToken(user, path, reader)
  if (cert.isGiven !== key.isGiven) {
    reader.problem(path, 'client-certificate and client-key belong together', 'give both')
  } else if (cert.pem !== undefined && key.pem !== undefined && !belongsTo(key.pem, cert.pem)) {
    reader.problem(key.at, 'is not the key of the client certificate', 'give the key of that pair')
  }
  if (!cert.isGiven && !key.isGiven && !hasToken && !refused) {
    reader.problem(path, 'no credential', 'give a client certificate and key, token or tokenFile')
  }
  return { cert: cert.pem, key: key.pem, token: cert.isGiven ? undefined : token }
}

/** True when there was one of another kind. */
function refuseOthers(user: User, path: Path, reader: KubeconfigReader): boolean {
  const others = (['exec', 'auth-provider', 'username', 'as'] as const).filter(
    (field) => user[field] !== undefined,
  )
  for (const field of others) {
    reader.problem(
      [...path, field],
      "is not supported for Gatehouse's own credential",
      'use a client certificate, token or tokenFile, such as those of a service account of its own',
    )
  }
  return others.some((field) => field !== 'as')
}

function readToken(user: User, path: Path, reader: KubeconfigReader): string | undefined {
  // client-go: tokenFile wins over token.
  if (user.tokenFile === undefined) {
    if (user.token === '') reader.problem([...path, 'token'], 'is empty', 'write the token')
    return user.token
  }
  const token = reader.file([...path, 'tokenFile'], user.tokenFile)?.trim()
  if (token === '') reader.problem([...path, 'tokenFile'], 'the file is empty', 'write the token')
  return token
}

function serverUrl(server: string, path: Path, reader: KubeconfigReader): URL | undefined {
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url?.protocol !== 'https:' || url.username !== '') {
    reader.problem(path, `${JSON.stringify(server)} is no https URL`, 'https://HOST:PORT')
    return undefined
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    reader.problem(path, 'a path behind the host is not supported', 'https://HOST:PORT')
    return undefined
  }
  return url
}
