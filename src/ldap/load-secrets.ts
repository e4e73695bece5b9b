import { X509Certificate } from 'node:crypto'

import { ConfigError, fileProblem, type ConfigProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import { certificateBlocks } from '../pem.ts'
import type { DirectorySecrets } from './options.ts'

/** The password in a file; undefined if it is empty: the bind would be anonymous (RFC 4513 section 5.1.2). */
export function readBindPassword(text: string): string | undefined {
  // Editors end a file with a newline, which is not part of the password.
  const password = text.replace(/\r?\n$/, '')
  return password === '' ? undefined : password
}

/**
 * Reads the CA of a directory and the password of its service account.
 *
 * @throws ConfigError with every problem found
 */
export function loadDirectorySecrets({
  caFile,
  bindPasswordFile,
}: {
  readonly caFile: string
  readonly bindPasswordFile: string
}): DirectorySecrets {
  const problems: ConfigProblem[] = []
  const read = (file: string): string | undefined =>
    readText(file, (message, fix) => problems.push(fileProblem(file, message, fix)))
  const ca = read(caFile)
  const password = read(bindPasswordFile)
  const bindPassword = password === undefined ? undefined : readBindPassword(password)
  if (ca !== undefined && !areCertificates(certificateBlocks(ca))) {
    const fix = 'provide a PEM bundle of CA certificates'
    problems.push(fileProblem(caFile, 'contains no certificate that can be parsed', fix))
  }
  if (password !== undefined && bindPassword === undefined) {
    const fix = 'write the password of the service account into it'
    problems.push(fileProblem(bindPasswordFile, 'is empty', fix))
  }
  if (problems.length > 0 || ca === undefined || bindPassword === undefined) {
    throw new ConfigError(problems)
  }
  return { ca, bindPassword }
}

function areCertificates(blocks: readonly string[]): boolean {
  try {
    for (const pem of blocks) new X509Certificate(pem)
    return blocks.length > 0
  } catch {
    return false
  }
}
