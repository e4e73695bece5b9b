/** The CAs that sign user certificates, and their revocation lists, read from PEM bundles. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { ConfigError, fileProblem, type ConfigProblem } from '../../config/problem.ts'
import { readText } from '../../config/read-text.ts'
import { certificateBlocks } from '../../pem.ts'
import { prefixesOfAll, type AuthorityBundle } from './authorities.ts'
import { PLAIN_NAMES, type NameOptions } from './certificate-names.ts'
import { isListOf, parseRevocationLists, type RevocationList } from './revocation.ts'

export interface ClientTrust {
  /** PEM. Every certificate is a trust anchor, whether it is self-signed or not. */
  readonly ca: string
  /**
   * PEM. Undefined: revocation is not checked; otherwise a certificate whose issuer has no list is
   * refused.
   */
  readonly crl: string | undefined
  /** The same CAs, file by file; absent if all of them name users as in kube-apiserver. */
  readonly bundles?: readonly AuthorityBundle[]
}

/** A file of client CAs, and how the users of their certificates are named. */
export interface AuthorityFile extends NameOptions {
  readonly caFile: string
}

export interface ClientTrustFiles {
  /** Whose certificates name users as in kube-apiserver. */
  readonly clientCAFile?: string | undefined
  readonly crlFile?: string | undefined
  readonly authorities?: readonly AuthorityFile[]
  readonly frontProxy?: { readonly caFile: string } | undefined
}

interface NamedFile {
  readonly caFile: string
  readonly names: AuthorityBundle['names']
}

/** Every file with client CAs. */
export function authorityFiles({
  clientCAFile,
  authorities = [],
  frontProxy,
}: ClientTrustFiles): readonly NamedFile[] {
  return [
    ...(clientCAFile === undefined ? [] : [{ caFile: clientCAFile, names: PLAIN_NAMES }]),
    ...authorities.map(({ caFile, ...names }) => ({ caFile, names })),
    ...(frontProxy === undefined
      ? []
      : [{ caFile: frontProxy.caFile, names: 'frontProxy' as const }]),
  ]
}

/** The prefixes of the names that certificates can have, `''` among them for names without one. */
export function certificatePrefixes(files: ClientTrustFiles | undefined): CertificatePrefixes {
  const prefixes = prefixesOfAll(authorityFiles(files ?? {}).map(({ names }) => names))
  return {
    username: [...new Set(prefixes.map(({ username }) => username))],
    groups: [...new Set(prefixes.map(({ groups }) => groups))],
  }
}

export interface CertificatePrefixes {
  readonly username: readonly string[]
  readonly groups: readonly string[]
}

/**
 * Reads and checks the client CAs and, if it is configured, the revocation lists.
 *
 * @throws ConfigError with every problem found
 */
export function loadClientTrust(files: ClientTrustFiles): ClientTrust {
  const { crlFile } = files
  const problems: ConfigProblem[] = []
  const add = (file: string, message: string, fix: string): void => {
    problems.push(fileProblem(file, message, fix))
  }
  const bundles = authorityFiles(files).map(({ caFile, names }) => ({
    ...{ caFile, names },
    ca: read(caFile, add),
  }))
  const crl = crlFile === undefined ? undefined : read(crlFile, add)
  if (problems.length === 0) {
    for (const { caFile, ca } of bundles) checkAuthorities(caFile, certificateBlocks(ca), add)
  }
  if (problems.length === 0) checkRepeats(bundles, add)
  const ca = bundles.map((bundle) => bundle.ca).join('\n')
  if (crl !== undefined && crlFile !== undefined) {
    // With CAs that cannot be used, the lists are still checked in themselves.
    const authorities = problems.length === 0 ? certificateBlocks(ca) : []
    if (crl !== '') checkRevocationLists(crlFile, crl, authorities, add)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  const isPlain = bundles.every(({ names }) => names === PLAIN_NAMES)
  return isPlain ? { ca, crl } : { ca, crl, bundles }
}

type Add = (file: string, message: string, fix: string) => void

/** The text of the file; `''`, after adding a problem, when it cannot be read. */
function read(file: string, add: Add): string {
  return readText(file, (message, fix) => add(file, message, fix)) ?? ''
}

function checkAuthorities(file: string, blocks: readonly string[], add: Add): void {
  if (blocks.length === 0) {
    add(file, 'contains no certificate', 'provide a PEM bundle of CA certificates')
  }
  blocks.forEach((pem, i) => {
    const nth = `certificate ${i + 1} of ${blocks.length}`
    try {
      if (!new X509Certificate(pem).ca) {
        const message = `${nth} is not a CA (basicConstraints)`
        add(file, message, 'list only CAs that sign user certificates')
      }
    } catch {
      add(file, `${nth} cannot be parsed`, 'provide the complete PEM certificate')
    }
  })
}

/** A CA in two files, also by another certificate for its key, would have two ways to name its users. */
function checkRepeats(
  bundles: readonly { readonly caFile: string; readonly ca: string }[],
  add: Add,
): void {
  const files = new Map<string, string>()
  for (const { caFile, ca } of bundles) {
    for (const { publicKey, subject } of certificateBlocks(ca).map(
      (pem) => new X509Certificate(pem),
    )) {
      const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
      const other = files.get(key) ?? caFile
      if (other !== caFile) {
        const name = JSON.stringify(subject.replaceAll('\n', ', '))
        add(
          caFile,
          `contains the CA ${name}, which ${other} contains as well`,
          'keep it in one file',
        )
      }
      files.set(key, other)
    }
  }
}

function checkRevocationLists(
  file: string,
  crl: string,
  authorities: readonly string[],
  add: Add,
): void {
  const lists = parseLists(crl)
  if (typeof lists === 'string') {
    const message = `contains an invalid revocation list: ${lists}`
    add(file, message, 'provide complete PEM revocation lists')
    return
  }
  for (const { issuerName, unsupported } of lists) {
    if (unsupported === undefined) continue
    const message = `contains a revocation list of ${JSON.stringify(issuerName)} that is not supported: ${unsupported}`
    add(file, message, 'provide complete lists, each with all that its CA has revoked')
  }
  const usable = lists.filter(({ unsupported }) => unsupported === undefined)
  for (const authority of authorities.map((pem) => new X509Certificate(pem))) {
    // Every certificate whose issuer has no list is refused, so a missing one locks users out.
    if (usable.some((list) => isListOf(list, authority))) continue
    const message = `contains no revocation list that is signed by the client CA ${JSON.stringify(authority.subject.replaceAll('\n', ', '))}`
    add(file, message, 'provide one list for each CA, an empty one if nothing is revoked')
  }
}

/** The lists, or why one cannot be read. */
function parseLists(crl: string): readonly RevocationList[] | string {
  try {
    // OpenSSL checks the structure; it is not given the lists for handshakes.
    createSecureContext({ crl })
    return parseRevocationLists(crl)
  } catch (error) {
    return (error as Error).message
  }
}
