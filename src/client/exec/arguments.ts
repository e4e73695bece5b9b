/** The arguments of the credential plugin, as `gatehouse login` writes them into a kubeconfig. */
import { ClientFailure } from '../failure.ts'
import { originOf, type Server } from '../server.ts'
import type { CertificateFiles } from '../session/session.ts'
import type { ClusterInfo } from './exec-info.ts'

export interface GetTokenOptions {
  readonly server: string
  readonly account: string
  readonly method: string
  /** Only without a client that names the CA. */
  readonly caFile: string
  readonly cache: string
  readonly device: boolean
  readonly browser: boolean
  /** Whether a client certificate is wanted instead of a token. */
  readonly certificate: boolean
  /** The user's own certificate, to which the token is bound; undefined for none. */
  readonly certificateFiles: CertificateFiles | undefined
}

/** Those without a value. The help of the command lists all of them (program.ts). */
export const FLAGS = ['--device', '--no-browser', '--certificate']
/** Those with a value. */
export const NAMES = [
  ...(['server', 'account', 'method', 'ca-file', 'cache'] as const),
  ...(['client-certificate', 'client-key'] as const),
]

/**
 * Parses the arguments behind `get-token`. By hand, since a library would take longer to load than
 * everything else takes.
 *
 * @throws ClientFailure for an argument that is not known
 */
export function getTokenOptions(args: readonly string[]): GetTokenOptions {
  const values = new Map<string, string>()
  const flags = new Set<string>()
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (FLAGS.includes(arg)) {
      flags.add(arg)
      continue
    }
    const [, name = '', inline] = /^--([a-z-]+)(?:=([\s\S]*))?$/.exec(arg) ?? []
    if (!NAMES.some((each) => each === name)) {
      throw new ClientFailure('usage', `get-token: unknown argument ${JSON.stringify(arg)}`)
    }
    const value = inline ?? args[++i]
    if (value === undefined) throw new ClientFailure('usage', `get-token: ${arg} needs a value`)
    values.set(name, value)
  }
  const valueOf = (name: (typeof NAMES)[number]): string => values.get(name) ?? ''
  if (valueOf('server') === '') {
    throw new ClientFailure('usage', 'get-token: --server=URL is required')
  }
  return {
    server: originOf(valueOf('server'), '--server'),
    account: valueOf('account'),
    method: valueOf('method'),
    caFile: valueOf('ca-file'),
    cache: valueOf('cache'),
    device: flags.has('--device'),
    browser: !flags.has('--no-browser'),
    certificate: flags.has('--certificate'),
    certificateFiles: certificateFiles(valueOf('client-certificate'), valueOf('client-key')),
  }
}

/** @throws ClientFailure for one without the other */
export function certificateFiles(certificate: string, key: string): CertificateFiles | undefined {
  if (certificate === '' && key === '') return undefined
  if (certificate !== '' && key !== '') return { certificate, key }
  throw new ClientFailure('usage', 'use --client-certificate and --client-key together')
}

/**
 * The server that a token is for. The client says where it will send the token, and its kubeconfig for
 * which server the token is: both must be the same.
 *
 * @throws ClientFailure when they are not
 */
export function serverOf(options: GetTokenOptions, cluster: ClusterInfo): Server {
  const origin = originOf(cluster.server, 'the server of the cluster in the kubeconfig')
  if (origin !== options.server) {
    throw new ClientFailure(
      'untrusted',
      `no token is given: the kubeconfig would send a token for ${options.server} to ${origin}`,
    )
  }
  const { certificateAuthorityData: data } = cluster
  return { origin, certificateAuthority: Buffer.from(data, 'base64').toString('utf8') }
}
