/** Serving and SNI certificates, read from their files. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

import type { Source } from '../config/document.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import { CIPHER_SUITES, type ServingCertificate } from './tls.ts'

type TlsConfiguration = Configuration['listener']['tls']

export interface ServingCertificates {
  readonly serving: ServingCertificate
  readonly sni: readonly ServingCertificate[]
}

/**
 * Reads every pair and checks that key and certificate belong together.
 *
 * @throws ConfigError with every problem found
 */
export function loadServingCertificates(tls: TlsConfiguration): ServingCertificates {
  const problems: ConfigProblem[] = []
  const load = (certFile: string, privateKeyFile: string, names: readonly string[]) => {
    const pair = { certificate: '', privateKey: '', names }
    try {
      pair.certificate = readFileSync(certFile, 'utf8')
      pair.privateKey = readFileSync(privateKeyFile, 'utf8')
    } catch (error) {
      problems.push(problem(certFile, (error as Error).message, 'give readable files'))
      return pair
    }
    problems.push(...checkPair(pair, certFile, privateKeyFile))
    return pair
  }
  const serving = load(tls.certFile, tls.privateKeyFile, [])
  const sni = tls.sniCertificates.map((pair) =>
    load(pair.certFile, pair.privateKeyFile, pair.names),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return { serving, sni }
}

function checkPair(
  { certificate, privateKey }: ServingCertificate,
  certFile: string,
  privateKeyFile: string,
): ConfigProblem[] {
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(certificate)
  } catch {
    return [problem(certFile, 'is no PEM certificate', 'the certificate, then its intermediates')]
  }
  try {
    const key = createPrivateKey(privateKey)
    if (leaf.checkPrivateKey(key)) return []
  } catch {
    return [problem(privateKeyFile, 'is no PEM private key', 'an unencrypted PKCS#8 key')]
  }
  return [problem(privateKeyFile, `does not belong to ${certFile}`, 'give the key of that pair')]
}

function problem(file: string, message: string, mend: string): ConfigProblem {
  return { file, line: undefined, column: undefined, field: '', message, mend }
}

const TLS13_NAMES = new Set([
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
])

/** Names of suites that are not served, each a problem; TLS 1.3's are always on and may be listed. */
export function checkCipherSuites(names: readonly unknown[], source: Source): ConfigProblem[] {
  const path = ['listener', 'tls', 'cipherSuites']
  const unknown = names.flatMap((name, i) => {
    if (typeof name !== 'string' || TLS13_NAMES.has(name) || Object.hasOwn(CIPHER_SUITES, name)) {
      return []
    }
    const known = Object.keys(CIPHER_SUITES).join(', ')
    return [
      source.problem([...path, i], `${JSON.stringify(name)} is not served`, `one of ${known}`),
    ]
  })
  const only13 = names.length > 0 && names.every((name) => TLS13_NAMES.has(String(name)))
  if (!only13) return unknown
  const mend = 'add suites of TLS 1.2, or set minVersion: VersionTLS13 and leave the list out'
  return [source.problem(path, 'leaves TLS 1.2 without a suite', mend)]
}
