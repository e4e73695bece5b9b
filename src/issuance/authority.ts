/** Loads the CA that signs what Gatehouse issues. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'

import { linksAbove } from '../authentication/x509/chain-links.ts'
import { ConfigError, fileProblem, type ConfigProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import { certificateBlocks } from '../pem.ts'
import { signatureAlgorithm, type SignatureAlgorithm } from './signature-algorithm.ts'

export interface IssuingAuthority {
  /** The CA that signs. */
  readonly certificate: X509Certificate
  /** The same, and earlier CAs whose certificates are still accepted. */
  readonly authorities: readonly X509Certificate[]
  /** PEM of these. */
  readonly bundle: string
  readonly algorithm: SignatureAlgorithm
  /** Undefined: a command signs. */
  readonly privateKey: KeyObject | undefined
}

export interface AuthorityFiles {
  readonly caFile: string
  readonly privateKeyFile: string | undefined
}

type Add = (file: string, message: string, fix: string) => void

/**
 * Reads and checks the CA and its key.
 *
 * @throws ConfigError with every problem found
 */
export function loadIssuingAuthority({ caFile, privateKeyFile }: AuthorityFiles): IssuingAuthority {
  const problems: ConfigProblem[] = []
  const add: Add = (file, message, fix) => {
    problems.push(fileProblem(file, message, fix))
  }
  const authorities = readAuthorities(caFile, add)
  const [certificate] = authorities
  const algorithm = certificate && signatureAlgorithm(certificate.publicKey)
  if (certificate !== undefined && algorithm === undefined) {
    const fix =
      'provide a CA with an ECDSA key (P-256, P-384, P-521), an Ed25519 key, or an RSA key of 2048 bits or more'
    add(caFile, 'has a key that must not sign certificates', fix)
  }
  const privateKey = privateKeyFile === undefined ? undefined : readKey(privateKeyFile, add)
  if (certificate !== undefined && privateKey !== undefined) {
    if (!certificate.checkPrivateKey(privateKey)) {
      const fix = `provide the key of the first certificate in ${caFile}`
      add(privateKeyFile ?? '', 'is not the key of the issuing CA', fix)
    }
  }
  if (problems.length > 0 || certificate === undefined || algorithm === undefined) {
    throw new ConfigError(problems)
  }
  const bundle = authorities.map(String).join('')
  return { certificate, authorities, bundle, algorithm, privateKey }
}

function readAuthorities(file: string, add: Add): readonly X509Certificate[] {
  const text = readText(file, (message, fix) => add(file, message, fix))
  if (text === undefined) return []
  const blocks = certificateBlocks(text)
  if (blocks.length === 0) add(file, 'contains no certificate', 'provide the issuing CA in PEM')
  return blocks.flatMap((pem, i) => {
    const nth = `certificate ${i + 1} of ${blocks.length}`
    try {
      const certificate = new X509Certificate(pem)
      if (certificate.ca) return certificate
      add(file, `${nth} is not a CA (basicConstraints)`, 'list only CAs of Gatehouse')
    } catch {
      add(file, `${nth} cannot be parsed`, 'provide the complete PEM certificate')
    }
    return []
  })
}

function readKey(file: string, add: Add): KeyObject | undefined {
  const text = readText(file, (message, fix) => add(file, message, fix))
  if (text === undefined) return undefined
  try {
    return createPrivateKey(text)
  } catch {
    add(
      file,
      'is not a private key',
      'provide the key of the issuing CA in PEM, without a passphrase',
    )
    return undefined
  }
}

/**
 * Whether certificates of the issuing CA would be accepted by somebody who trusts these CAs: one of them
 * has its key, or has signed it, directly or by others of them.
 *
 * @param bundle PEM of CAs; blocks that cannot be parsed are ignored, as by Go
 */
function isTrustedBy(authority: X509Certificate, bundle: string): boolean {
  const authorities = certificateBlocks(bundle).flatMap((pem) => {
    try {
      return [new X509Certificate(pem)]
    } catch {
      return []
    }
  })
  const key = publicKeyOf(authority)
  return (
    authorities.some((other) => publicKeyOf(other) === key) ||
    linksAbove(authority, authorities).length > 0
  )
}

/**
 * Names one of the issuing CAs whose certificates somebody with these CAs would accept.
 *
 * @returns such as `the issuing CA`, or undefined when there is none
 */
export function trustedBy(
  authorities: readonly X509Certificate[],
  bundle: string,
): string | undefined {
  const index = authorities.findIndex((authority) => isTrustedBy(authority, bundle))
  if (index <= 0) return index < 0 ? undefined : 'the issuing CA'
  return `an earlier issuing CA (certificate ${index + 1} of ${authorities.length})`
}

function publicKeyOf({ publicKey }: X509Certificate): string {
  return publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
}
