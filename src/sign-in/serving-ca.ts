import { X509Certificate } from 'node:crypto'

import { ConfigError, fileProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import { pemBlocks } from '../pem.ts'

/**
 * Reads the CA that the discovery document publishes.
 *
 * @returns the certificates as PEM, without the text between them
 * @throws ConfigError for a file that cannot be read, or that holds anything but certificates: a private
 * key must not be published
 */
export function loadServingCA(file: string): string {
  const problems: ConfigError['problems'][number][] = []
  const add = (message: string, fix: string): void => {
    problems.push(fileProblem(file, message, fix))
  }
  const blocks = pemBlocks(readText(file, add) ?? '')
  if (problems.length === 0 && blocks.length === 0) {
    add('contains no certificate', 'provide the CA of the serving certificates in PEM')
  }
  blocks.forEach(({ label, pem }, i) => {
    const nth = `block ${i + 1} of ${blocks.length}`
    if (label !== 'CERTIFICATE') {
      add(`${nth} is not a certificate: ${label}`, 'remove it: this file is published')
      return
    }
    try {
      new X509Certificate(pem)
    } catch {
      add(`${nth} cannot be parsed`, 'provide the complete PEM certificate')
    }
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return blocks.map(({ pem }) => `${pem}\n`).join('')
}
