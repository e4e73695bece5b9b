/**
 * The certificate report: which of the certificates in effect have expired or soon will, whether every
 * client CA has the revocation list that OpenSSL requires, and who can read the keys.
 */
import { X509Certificate } from 'node:crypto'

import type { ClientTrust } from '../authentication/x509/client-ca.ts'
import {
  isListOf,
  parseRevocationLists,
  type RevocationList,
} from '../authentication/x509/revocation.ts'
import { formatTime } from '../authentication/x509/verify-errors.ts'
import type { UpstreamCredential } from '../cluster/credential.ts'
import { readableByOthers } from '../config/file-access.ts'
import { fileProblem, type ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import type { ServingCertificates } from '../listener/serving-certificates.ts'
import type { Metrics } from '../metrics.ts'
import { certificateBlocks } from '../pem.ts'

export type CertificateKind = 'serving' | 'client_ca' | 'issuing_ca' | 'upstream' | 'crl'

export interface CertificateReport {
  readonly warnings: readonly ConfigProblem[]
  /** Milliseconds since the epoch; Infinity where nothing expires. */
  readonly expirations: Readonly<Partial<Record<CertificateKind, number>>>
}

/** How long before its expiry a certificate is reported. */
const SOON_MS = 14 * 24 * 60 * 60 * 1_000

interface Dated {
  readonly file: string
  /** The object in the file; `''` when the file holds only one. */
  readonly what: string
  readonly notBefore: number
  readonly notAfter: number
}

/** @param now milliseconds since the epoch, as below */
export function reportServing(
  tls: Configuration['listener']['tls'],
  { serving, sni }: ServingCertificates,
  now: number,
): CertificateReport {
  const dated = [
    ...datesOf(tls.certFile, serving.certificate, ''),
    ...tls.sniCertificates.flatMap(({ certFile }, i) =>
      datesOf(certFile, sni[i]?.certificate ?? '', ''),
    ),
  ]
  const keys = [tls, ...tls.sniCertificates].map(({ privateKeyFile }) => privateKeyFile)
  return {
    warnings: [...warnOf(dated, now, SOON_MS), ...warnOfReaders(keys)],
    expirations: { serving: firstEnd(dated) },
  }
}

/** Reports on Gatehouse's own credential for the API server. `now` in milliseconds since the epoch. */
export function reportUpstream(credential: UpstreamCredential, now: number): CertificateReport {
  const [file = ''] = credential.files
  const pem = credential.endpoint.tls.cert ?? ''
  const dated = datesOf(file, pem, 'the client certificate')
  return {
    warnings: [...warnOf(dated, now, SOON_MS), ...warnOfReaders(credential.secretFiles)],
    expirations: { upstream: firstEnd(dated) },
  }
}

/** Reports on client CAs and their revocation lists. `now` in milliseconds since the epoch. */
export function reportClientTrust(
  {
    caFiles,
    crlFile,
  }: { readonly caFiles: readonly string[]; readonly crlFile?: string | undefined },
  {
    ca,
    crl,
    bundles = [{ ca }],
  }: Pick<ClientTrust, 'ca' | 'crl'> & {
    readonly bundles?: readonly { readonly ca: string }[]
  },
  now: number,
): CertificateReport {
  const authorities = bundles.flatMap((bundle, i) => datesOf(caFiles[i] ?? '', bundle.ca, ''))
  const warnings = warnOf(authorities, now, SOON_MS)
  const expirations = { client_ca: firstEnd(authorities), crl: Infinity }
  if (crl === undefined || crlFile === undefined) return { warnings, expirations }
  const ofLists = reportLists(crlFile, { ca, crl }, now)
  return {
    warnings: [...warnings, ...ofLists.warnings],
    expirations: { ...expirations, ...ofLists.expirations },
  }
}

/** Only the first CA signs; that an earlier one expires is as it should be. */
export function reportIssuingCA(
  { caFile, secretFiles }: { readonly caFile: string; readonly secretFiles: readonly string[] },
  bundle: string,
  now: number,
): CertificateReport {
  const dated = datesOf(caFile, bundle, '').slice(0, 1)
  return {
    warnings: [...warnOf(dated, now, SOON_MS), ...warnOfReaders(secretFiles)],
    expirations: { issuing_ca: firstEnd(dated) },
  }
}

/** Reports nothing about names or lists that are not DER, which OpenSSL accepts. */
function reportLists(
  crlFile: string,
  { ca, crl }: { readonly ca: string; readonly crl: string },
  now: number,
): CertificateReport {
  try {
    const newest = newestLists(crl)
    const lists = newest.map(({ issuerName, thisUpdate, nextUpdate }) => ({
      file: crlFile,
      what: `the revocation list of ${JSON.stringify(issuerName)}`,
      notBefore: thisUpdate,
      notAfter: nextUpdate ?? Infinity,
    }))
    return {
      // Lists are valid only for days, so it is normal that one expires soon.
      warnings: [...warnOf(lists, now, 0), ...warnOfCoverage(crlFile, ca, newest)],
      expirations: { crl: firstEnd(lists) },
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { warnings: [], expirations: {} }
  }
}

/** Sets the gauge; kinds that a report does not name stay as they are. */
export function recordExpirations(
  { certificateExpiration }: Pick<Metrics, 'certificateExpiration'>,
  { expirations = {} }: Partial<CertificateReport>,
): void {
  for (const [certificate, end] of Object.entries(expirations)) {
    if (Number.isFinite(end)) certificateExpiration.set({ certificate }, end / 1_000)
    else certificateExpiration.remove({ certificate })
  }
}

function datesOf(file: string, pem: string, what: string): Dated[] {
  const certificates = parseAll(pem)
  return certificates.map(({ validFromDate, validToDate }, i) => ({
    file,
    what: certificates.length === 1 ? what : `certificate ${i + 1} of ${certificates.length}`,
    notBefore: validFromDate.getTime(),
    notAfter: validToDate.getTime(),
  }))
}

/** Skips what cannot be parsed: loading the file has reported it. */
function parseAll(pem: string): X509Certificate[] {
  return certificateBlocks(pem).flatMap((block) => {
    try {
      return [new X509Certificate(block)]
    } catch {
      return []
    }
  })
}

function firstEnd(dated: readonly Dated[]): number {
  return Math.min(...dated.map(({ notAfter }) => notAfter))
}

function warnOf(dated: readonly Dated[], now: number, soon: number): ConfigProblem[] {
  return dated.flatMap(({ file, what, notBefore, notAfter }) => {
    const said = what === '' ? '' : `${what} `
    if (now > notAfter) return warning(file, `${said}expired on ${day(notAfter)}`, 'renew it')
    if (now < notBefore) {
      const fix = 'check the clock, or provide one that is valid now'
      return warning(file, `${said}is not valid before ${day(notBefore)}`, fix)
    }
    if (now < notAfter - soon) return []
    return soon === 0 ? [] : warning(file, `${said}expires on ${day(notAfter)}`, 'renew it')
  })
}

/** The newest list of each issuer: of several, OpenSSL uses one that is valid. */
function newestLists(crl: string): RevocationList[] {
  const newest = new Map<string, RevocationList>()
  for (const list of parseRevocationLists(crl)) {
    const known = newest.get(list.issuer)
    if (known === undefined || (list.nextUpdate ?? Infinity) > (known.nextUpdate ?? Infinity)) {
      newest.set(list.issuer, list)
    }
  }
  return [...newest.values()]
}

function warnOfCoverage(
  crlFile: string,
  ca: string,
  lists: readonly RevocationList[],
): ConfigProblem[] {
  const authorities = parseAll(ca)
  return lists
    .filter((list) => !authorities.some((authority) => isListOf(list, authority)))
    .flatMap(({ issuerName }) =>
      warning(
        crlFile,
        `contains a revocation list of ${JSON.stringify(issuerName)}, which is not a client CA`,
        'remove it, unless that CA is below a client CA and its users send its certificate',
      ),
    )
}

/** @param files with private keys, tokens or other secrets */
export function warnOfReaders(files: readonly string[]): ConfigProblem[] {
  return [...new Set(files)].flatMap((file) => {
    const fault = readableByOthers(file)
    return fault === undefined ? [] : warning(file, ...fault)
  })
}

function warning(file: string, message: string, fix: string): ConfigProblem[] {
  return [fileProblem(file, message, fix)]
}

function day(time: number): string {
  return formatTime(time).replace(/T.*/, '')
}
