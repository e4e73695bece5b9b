/** The serving certificates: the part that loads them, and what is checked of them besides. */
import type { Source } from '../config/document.ts'
import type { ConfigurationReading } from '../config/load.ts'
import { valueAt, type Path } from '../config/path.ts'
import type { ConfigProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import { checkCipherSuites } from '../listener/cipher-suites.ts'
import {
  checkServingPair,
  loadServingCertificates,
  type ServingCertificates,
} from '../listener/serving-certificates.ts'
import { servingNames } from '../listener/tls.ts'
import { reportServing } from './certificate-report.ts'
import type { Part } from './reloadable.ts'

/** The part of all serving certificates. */
export function servingPart(
  { listener: { tls }, signIn }: Configuration,
  { source }: ConfigurationReading,
): Part<ServingCertificates> {
  const pairs = [tls, ...tls.sniCertificates]
  return {
    what: 'serving certificates',
    files: () => pairs.flatMap(({ certFile, privateKeyFile }) => [certFile, privateKeyFile]),
    load: () => loadServingCertificates(tls),
    report(certificates, now) {
      const report = reportServing(tls, certificates, now)
      const unnamed = findUnnamedPages(signIn, certificates, source)
      return { ...report, warnings: [...report.warnings, ...unnamed] }
    },
  }
}

/** Browsers would not trust the pages. */
function findUnnamedPages(
  { pages }: Configuration['signIn'],
  { serving, sni }: ServingCertificates,
  source: Source,
): ConfigProblem[] {
  if (pages === undefined) return []
  const host = new URL(pages.url).hostname.replace(/^\[|\]$/g, '')
  if (servingNames([serving, ...sni])(host)) return []
  const message = `no serving certificate has the name ${JSON.stringify(host)}`
  const fix = 'add it to the certificate, or to listener.tls.sniCertificates'
  return [source.problem(['signIn', 'pages', 'url'], message, fix)]
}

/** Problems of the pairs of a configuration that has problems elsewhere, so that none is loaded. */
export function checkServingPairs({ raw, fileAt }: ConfigurationReading): ConfigProblem[] {
  const sni = valueAt(raw, ['listener', 'tls', 'sniCertificates'])
  const pairs: Path[] = [
    ['listener', 'tls'],
    ...Array.from(Array.isArray(sni) ? sni : [], (_, i) => [
      'listener',
      'tls',
      'sniCertificates',
      i,
    ]),
  ]
  return pairs.flatMap((path) => {
    const certFile = fileAt([...path, 'certFile'])
    const privateKeyFile = fileAt([...path, 'privateKeyFile'])
    return checkServingPair(path, {
      ...(certFile === undefined ? {} : { certFile }),
      ...(privateKeyFile === undefined ? {} : { privateKeyFile }),
    })
  })
}

/** Problems of `listener.tls.cipherSuites`. */
export function checkSuites(reading: ConfigurationReading): ConfigProblem[] {
  const { raw, source } = reading
  const names = valueAt(raw, ['listener', 'tls', 'cipherSuites'])
  return Array.isArray(names) ? checkCipherSuites(names, source) : []
}
