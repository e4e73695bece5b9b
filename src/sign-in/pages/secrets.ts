import { createPrivateKey, type KeyObject } from 'node:crypto'

import { ConfigError, fileProblem, type ConfigProblem } from '../../config/problem.ts'
import { readText } from '../../config/read-text.ts'
import type { Configuration } from '../../config/schema.ts'
import { readCookieKeys, type CookieKeys } from './cookie-keys.ts'

export type PagesOptions = NonNullable<Configuration['signIn']['pages']>

export interface PagesSecrets {
  readonly cookieKeys: CookieKeys
  readonly credential: ClientCredential
}

/** With which Gatehouse authenticates at the issuer's token endpoint. */
export type ClientCredential =
  { readonly secret: string } | { readonly privateKey: KeyObject; readonly algorithm: KeyAlgorithm }

/** As `KeyObject.toCryptoKey` takes it. */
export interface KeyAlgorithm {
  readonly name: string
  readonly hash?: string
  readonly namedCurve?: string
}

/** Fields that name a file with a secret. */
export const SECRET_FIELDS = ['clientSecretFile', 'privateKeyFile', 'cookieKeysFile'] as const
type SecretFiles = Partial<Pick<PagesOptions, (typeof SECRET_FIELDS)[number]>>

/**
 * Reads the secrets of the pages. A file that is not configured is not read, and not missed: the
 * configuration says what it must have.
 *
 * @throws ConfigError with every problem found
 */
export function loadPagesSecrets(files: SecretFiles): PagesSecrets {
  const problems: ConfigProblem[] = []
  const { clientSecretFile, privateKeyFile, cookieKeysFile } = files
  const at = (file: string, field: string) => (message: string, fix: string) => {
    problems.push(fileProblem(file, message, fix, `signIn.pages.${field}`))
  }
  const cookieKeys =
    cookieKeysFile === undefined
      ? []
      : readCookieKeys(cookieKeysFile, (problem) => problems.push(problem))
  const credential =
    privateKeyFile === undefined
      ? readSecret(clientSecretFile, at(clientSecretFile ?? '', 'clientSecretFile'))
      : readKey(privateKeyFile, at(privateKeyFile, 'privateKeyFile'))
  if (problems.length > 0 || credential === undefined) throw new ConfigError(problems)
  return { cookieKeys, credential }
}

type Add = (message: string, fix: string) => void

function readSecret(file: string | undefined, add: Add): ClientCredential | undefined {
  if (file === undefined) return { secret: '' }
  const text = readText(file, add)
  if (text === undefined) return undefined
  const secret = text.replace(/\r?\n$/, '')
  if (/^[\x20-\x7e]+$/.test(secret)) return { secret }
  add(
    secret === '' ? 'is empty' : 'is not one line of printable ASCII characters',
    'write the client secret that the issuer shows, on one line',
  )
  return undefined
}

const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
}
const MIN_RSA_BITS = 2_048

function readKey(file: string, add: Add): ClientCredential | undefined {
  const pem = readText(file, add)
  if (pem === undefined) return undefined
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(pem)
  } catch {
    add('is not a PEM private key', 'provide an unencrypted PKCS#8 key')
    return undefined
  }
  const algorithm = algorithmOf(privateKey)
  if (algorithm !== undefined) return { privateKey, algorithm }
  add(
    'is of a kind that cannot sign for the issuer',
    `provide an RSA key of at least ${MIN_RSA_BITS} bits, or a key for P-256, P-384, P-521 or Ed25519`,
  )
  return undefined
}

/** RFC 7518 section 3.1: RS256, or the ES algorithm of the curve; RFC 8037: EdDSA. */
function algorithmOf({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details,
}: KeyObject): KeyAlgorithm | undefined {
  if (type === 'ed25519') return { name: 'Ed25519' }
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= MIN_RSA_BITS) {
    return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  }
  const namedCurve = type === 'ec' ? CURVES[details?.namedCurve ?? ''] : undefined
  return namedCurve === undefined ? undefined : { name: 'ECDSA', namedCurve }
}
