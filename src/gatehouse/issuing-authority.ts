/** Checks that nobody else trusts the CAs that sign, or have signed, the certificates of users. */
import { X509Certificate } from 'node:crypto'

import type { UpstreamCredential } from '../cluster/credential.ts'
import type { ConfigurationReading } from '../config/load.ts'
import { fieldName, valueAt, type Path } from '../config/path.ts'
import { fileProblem, type ConfigProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import { trustedBy } from '../issuance/authority.ts'
import { certificateBlocks } from '../pem.ts'

/**
 * Problems of issuing CAs that others trust, too. At a reload, issuance/authority-check.ts refuses to issue.
 */
export function checkIssuingAuthority(
  { raw, fileAt }: ConfigurationReading,
  credential: UpstreamCredential | undefined,
): readonly ConfigProblem[] {
  const caFile = fileAt(['authentication', 'issuedCertificates', 'caFile'])
  if (caFile === undefined) return []
  const x509: Path = ['authentication', 'x509']
  const authorities = valueAt(raw, [...x509, 'authorities'])
  const clientCAs: Path[] = [
    [...x509, 'clientCAFile'],
    ...Array.from(Array.isArray(authorities) ? authorities : [], (_, i) => [
      ...[...x509, 'authorities', i, 'caFile'],
    ]),
  ]
  return checkIssuingCAs(caFile, [
    ...clientCAs.map((path) => ({ what: fieldName(path), bundle: textOf(fileAt(path)) })),
    {
      what: 'the CA of the API server in upstream',
      bundle: credential?.endpoint.tls.ca ?? '',
    },
  ])
}

/** Empty for a file that cannot be read, which is reported by itself. */
function textOf(file: string | undefined): string {
  return file === undefined ? '' : (readText(file, () => undefined) ?? '')
}

/** CAs of others, PEM, and what names them. */
interface OtherAuthorities {
  readonly what: string
  readonly bundle: string
}

/** Problems of issuing CAs that are CAs of others, or below one: who trusts them would trust these. */
function checkIssuingCAs(file: string, others: readonly OtherAuthorities[]): ConfigProblem[] {
  const blocks = certificateBlocks(textOf(file))
  const authorities = blocks.flatMap((pem) => parsed(pem) ?? [])
  // What is not a certificate is reported by itself.
  if (authorities.length < blocks.length) return []
  return others.flatMap(({ what, bundle }) => {
    const trusted = trustedBy(authorities, bundle)
    if (trusted === undefined) return []
    const fix =
      'use only CAs of Gatehouse alone, with keys of their own, that no other CA has signed'
    return [fileProblem(file, `contains ${trusted}, which is trusted by ${what}`, fix)]
  })
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}
