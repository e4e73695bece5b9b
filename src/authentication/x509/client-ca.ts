/** The CAs that sign user certificates, and their revocation lists, read from PEM bundles. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { ConfigError, fileProblem, type ConfigProblem } from '../../config/problem.ts'
import { readText } from '../../config/read-text.ts'
import { certificateBlocks } from '../../pem.ts'
import { isListOf, parseRevocationLists, type RevocationList } from './revocation.ts'

export interface ClientTrust {
  /** PEM. Every certificate is a trust anchor, whether it is self-signed or not. */
  readonly ca: string
  /**
   * PEM. Undefined: revocation is not checked; otherwise a certificate whose issuer has no list is
   * refused.
   */
  readonly crl: string | undefined
}

/**
 * Reads and checks the client CA bundle and, if it is configured, the revocation lists.
 *
 * @throws ConfigError with every problem found
 */
export function loadClientTrust(clientCAFile: string, crlFile: string | undefined): ClientTrust {
  const problems: ConfigProblem[] = []
  const add = (file: string, message: string, fix: string): void => {
    problems.push(fileProblem(file, message, fix))
  }
  const ca = read(clientCAFile, add)
  const crl = crlFile === undefined ? undefined : read(crlFile, add)
  const authorities = certificateBlocks(ca)
  if (problems.length === 0) checkAuthorities(clientCAFile, authorities, add)
  if (problems.length === 0 && crl !== undefined && crlFile !== undefined) {
    checkRevocationLists(crlFile, crl, authorities, add)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return { ca, crl }
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
