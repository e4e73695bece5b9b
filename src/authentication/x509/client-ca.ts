/** The CAs that sign user certificates, and their revocation lists, read from PEM bundles. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

import { ConfigError, fileProblem, type ConfigProblem } from '../../config/problem.ts'
import { readText } from '../../config/read-text.ts'
import { certificateBlocks, revocationLists } from '../../pem.ts'

export interface ClientTrust {
  /** PEM. */
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
    checkRevocationLists(crlFile, ca, crl, authorities.length, add)
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
  ca: string,
  crl: string,
  authorities: number,
  add: Add,
): void {
  const lists = revocationLists(crl).length
  // OpenSSL refuses every certificate whose issuer has no list, so a missing one locks users out.
  if (lists < authorities) {
    const message = `contains ${lists} revocation lists for ${authorities} CAs`
    add(file, message, 'provide one list for each CA, an empty one if nothing is revoked')
    return
  }
  try {
    createSecureContext({ ca, crl })
  } catch (error) {
    const message = `contains an invalid revocation list: ${(error as Error).message}`
    add(file, message, 'provide complete PEM revocation lists')
  }
}
