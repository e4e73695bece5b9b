/** Cipher suites in kube-apiserver's names (component-base/cli/flag/ciphersuites_flag.go). */
import type { Source } from '../config/document.ts'
import type { ConfigProblem } from '../config/problem.ts'

/** kube-apiserver's names of the TLS 1.2 suites, and OpenSSL's names; only AEAD with ECDHE. */
const CIPHER_SUITES: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
}

/** As in Go, TLS 1.3 suites are not configurable. AES-128 comes first: most responses are small. */
const TLS13_SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
] as const
const TLS13_NAMES: ReadonlySet<string> = new Set(TLS13_SUITES)

/** The cipher list in OpenSSL's format; for no names, all suites. TLS 1.3 suites are always enabled. */
export function opensslCiphers(names: readonly string[]): string {
  const chosen = names.length === 0 ? Object.keys(CIPHER_SUITES) : names
  const tls12 = chosen.flatMap((name) => CIPHER_SUITES[name] ?? [])
  return [...TLS13_SUITES, ...new Set(tls12)].join(':')
}

/** Reports each name that is not supported; TLS 1.3 suites are always enabled and may be listed. */
export function checkCipherSuites(names: readonly unknown[], source: Source): ConfigProblem[] {
  const path = ['listener', 'tls', 'cipherSuites']
  const unknown = names.flatMap((name, i) => {
    if (typeof name !== 'string' || TLS13_NAMES.has(name) || Object.hasOwn(CIPHER_SUITES, name)) {
      return []
    }
    const known = Object.keys(CIPHER_SUITES).join(', ')
    return [
      source.problem(
        [...path, i],
        `${JSON.stringify(name)} is not a supported cipher suite`,
        `must be one of: ${known}`,
      ),
    ]
  })
  const only13 = names.length > 0 && names.every((name) => TLS13_NAMES.has(String(name)))
  if (!only13) return unknown
  const fix = 'add TLS 1.2 suites, or set minVersion: VersionTLS13 and remove the list'
  return [source.problem(path, 'leaves TLS 1.2 without a cipher suite', fix)]
}
