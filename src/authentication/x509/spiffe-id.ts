/**
 * SPIFFE IDs in X.509 certificates (github.com/spiffe/spiffe, standards/SPIFFE-ID.md and X509-SVID.md),
 * read as strictly as these documents require.
 */
import type { X509Certificate } from 'node:crypto'

import { readCertificateExtensions, type Extension } from './certificate-fields.ts'
import { derElements, derSequence, firstElement } from './der.ts'

/** `id-ce-subjectAltName` and `id-ce-keyUsage`, as hex of their DER. */
const SUBJECT_ALT_NAME = '551d11'
const KEY_USAGE = '551d0f'
/** `[6] IA5String` of GeneralName (RFC 5280 section 4.2.1.6). */
const URI = 0x86
/** keyCertSign and cRLSign: bits 5 and 6 of the first octet, counted from the most significant one. */
const CA_USAGES = 0x06

/** SPIFFE-ID section 2.3. */
const MAX_ID_BYTES = 2_048
/** SPIFFE-ID section 2.1. */
export const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/
/** SPIFFE-ID section 2.2. */
const SEGMENT = /^[A-Za-z0-9._-]+$/

/**
 * Returns the SPIFFE ID of a certificate.
 *
 * @param trustDomain the only one whose IDs the CA may issue
 * @throws Error that says what is wrong with the certificate, in terms of its fields
 */
export function spiffeIdOf(certificate: X509Certificate, trustDomain: string): string {
  const extensions = extensionsOf(certificate)
  checkUsages(extensions)
  // X509-SVID section 2: exactly one. Other kinds of names are allowed, and do not matter.
  const [id, ...others] = uriNames(extensions)
  if (id === undefined) throw new Error('it has no URI in its subject alternative name')
  if (others.length > 0) {
    throw new Error('it has more than one URI in its subject alternative name')
  }
  const problem = idProblem(id, trustDomain)
  if (problem !== undefined) throw new Error(`its URI ${problem}`)
  return id
}

function extensionsOf({ raw }: X509Certificate): readonly Extension[] {
  try {
    return readCertificateExtensions(raw)
  } catch {
    throw new Error('its extensions cannot be read')
  }
}

/** X509-SVID section 5.2: the certificate of a workload cannot sign others. */
function checkUsages(extensions: readonly Extension[]): void {
  const usage = only(extensions, KEY_USAGE)
  if (usage === undefined) return
  const bits = decoded(() => firstElement(derElements(usage.value)).content)
  // The first octet is the number of unused bits.
  if (((bits[1] ?? 0) & CA_USAGES) === 0) return
  throw new Error('its key usage allows signing certificates or revocation lists')
}

function uriNames(extensions: readonly Extension[]): readonly string[] {
  const names = only(extensions, SUBJECT_ALT_NAME)
  if (names === undefined) return []
  return decoded(() => derSequence(names.value))
    .filter(({ tag }) => tag === URI)
    .map(({ content }) => Buffer.from(content).toString('latin1'))
}

function only(extensions: readonly Extension[], wanted: string): Extension | undefined {
  const [found, ...others] = extensions.filter(({ id }) => id === wanted)
  if (others.length > 0) throw new Error('it has an extension twice')
  return found
}

function decoded<T>(read: () => T): T {
  try {
    return read()
  } catch {
    throw new Error('its extensions cannot be read')
  }
}

/** Every character is checked, so an encoded, upper-case or non-ASCII spelling is none of the ID. */
function idProblem(id: string, trustDomain: string): string | undefined {
  if (id.length > MAX_ID_BYTES) return `is longer than ${MAX_ID_BYTES} bytes`
  const [, domain, path] = /^spiffe:\/\/([^/]*)(.*)$/s.exec(id) ?? []
  if (domain === undefined || path === undefined) return 'is not a SPIFFE ID'
  if (domain !== trustDomain) return 'is not in the trust domain of its CA'
  // A path: the ID of a trust domain alone is that of its CA (X509-SVID section 2).
  const [, ...segments] = path.split('/')
  if (segments.length === 0) return 'names a trust domain and no workload'
  const isPath = segments.every(
    (segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..',
  )
  return isPath ? undefined : 'has a path that is not one of a SPIFFE ID'
}
