/** Loads the serving certificate and the SNI certificates. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'

import { fieldName, type Path } from '../config/path.ts'
import { ConfigError, fileProblem, type ConfigProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import type { Configuration } from '../config/schema.ts'
import { certificateNames, type ServingCertificate } from './tls.ts'

type TlsConfiguration = Pick<
  Configuration['listener']['tls'],
  'certFile' | 'privateKeyFile' | 'sniCertificates'
>

export interface ServingCertificates {
  readonly serving: ServingCertificate
  readonly sni: readonly ServingCertificate[]
}

/**
 * Reads every certificate and key, and checks that they match.
 *
 * @throws ConfigError with every problem found, each with its field of gatehouse.yaml
 */
export function loadServingCertificates(tls: TlsConfiguration): ServingCertificates {
  const problems: ConfigProblem[] = []
  const load = (path: Path, files: PairFiles, names: readonly string[]) => {
    const { problems: found, ...pair } = readPair(path, files)
    problems.push(...found)
    return { ...pair, names }
  }
  const serving = load(['listener', 'tls'], tls, [])
  const sni = tls.sniCertificates.map((pair, i) =>
    load(['listener', 'tls', 'sniCertificates', i], pair, pair.names),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return { serving, sni }
}

/** The problems of a certificate and key; a file that is not configured is not checked. */
export function checkServingPair(path: Path, files: Partial<PairFiles>): readonly ConfigProblem[] {
  return readPair(path, files).problems
}

interface PairFiles {
  readonly certFile: string
  readonly privateKeyFile: string
}

function readPair(path: Path, { certFile, privateKeyFile }: Partial<PairFiles>) {
  const problems: ConfigProblem[] = []
  const at = (member: keyof PairFiles, file: string) => (message: string, fix: string) => {
    problems.push(fileProblem(file, message, fix, fieldName([...path, member])))
  }
  const certProblem = at('certFile', certFile ?? '')
  const keyProblem = at('privateKeyFile', privateKeyFile ?? '')
  const certificate = certFile === undefined ? '' : readPem(certFile, certProblem)
  const privateKey = privateKeyFile === undefined ? '' : readPem(privateKeyFile, keyProblem)
  const leaf = certificate === '' ? undefined : parseCertificate(certificate, certProblem)
  const key = privateKey === '' ? undefined : parsePrivateKey(privateKey, keyProblem)
  if (leaf !== undefined && key !== undefined && !leaf.checkPrivateKey(key)) {
    keyProblem(`does not match ${String(certFile)}`, 'provide the key of that certificate')
  }
  return { certificate, privateKey, problems }
}

type Add = (message: string, fix: string) => void

/** Empty when there is a problem. */
function readPem(file: string, add: Add): string {
  const text = readText(file, add)
  if (text === '') add('is empty', 'provide PEM')
  return text ?? ''
}

function parseCertificate(pem: string, add: Add): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(pem)
    if (certificateNames(certificate).length === 0) {
      add(
        'has no DNS name or IP address as a subject alternative name, and clients ignore the common name',
        'issue the certificate with the names and addresses that clients connect to',
      )
    }
    return certificate
  } catch {
    add('is not a PEM certificate', 'provide the certificate, then its intermediates')
    return undefined
  }
}

function parsePrivateKey(pem: string, add: Add): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    add('is not a PEM private key', 'provide an unencrypted PKCS#8 key')
    return undefined
  }
}
