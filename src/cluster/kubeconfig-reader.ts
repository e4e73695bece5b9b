import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import type { LoadedDocument } from '../config/document.ts'
import type { Path } from '../config/path.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import type { Kubeconfig } from './kubeconfig-schema.ts'

/** Reads what the document points at, collecting problems with the place in the kubeconfig. */
export class KubeconfigReader {
  readonly problems: ConfigProblem[] = []
  readonly files: string[] = []
  /** Path of the kubeconfig. */
  readonly document: string
  readonly #source: LoadedDocument<Kubeconfig>

  constructor(file: string, document: LoadedDocument<Kubeconfig>) {
    this.document = file
    this.#source = document
  }

  problem(path: Path, message: string, fix: string): void {
    this.problems.push(this.#source.problem(path, message, fix))
  }

  fail(path: Path, message: string, fix: string): ConfigError {
    this.problem(path, message, fix)
    return new ConfigError(this.problems)
  }

  /** A file named in the kubeconfig, relative to it. */
  file(path: Path, name: string): string | undefined {
    const file = resolve(dirname(this.document), name)
    this.files.push(file)
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const known: Readonly<Record<string, string>> = {
        ENOENT: 'does not exist',
        EISDIR: 'is a folder',
      }
      const why = known[code ?? ''] ?? `cannot be read: ${code ?? String(error)}`
      this.problem(path, `${file} ${why}`, 'give a readable file')
      return undefined
    }
  }

  /** PEM from `FIELD-data` (base64) or the file that `FIELD` names; `-data` wins, as in client-go. */
  pem(
    path: Path,
    field: string,
    object: Readonly<Record<string, unknown>>,
    isGood: (pem: string) => boolean,
  ): PemField {
    const data = object[`${field}-data`]
    const name = object[field]
    const inline = typeof data === 'string' && data !== ''
    const named = typeof name === 'string' && name !== ''
    const at = [...path, inline ? `${field}-data` : field]
    if (!inline && !named) return { at, isGiven: false, pem: undefined }
    const pem = inline ? Buffer.from(data, 'base64').toString('utf8') : this.file(at, String(name))
    if (pem === undefined || isGood(pem)) return { at, isGiven: true, pem }
    this.problem(at, 'is not valid PEM', 'give PEM, in the -data form encoded as base64')
    return { at, isGiven: true, pem: undefined }
  }
}

export interface PemField {
  /** The field that it came from. */
  readonly at: Path
  /** Whether there is such a field; when it is of no use, that has been said. */
  readonly isGiven: boolean
  readonly pem: string | undefined
}

/** Both good PEM already. */
export function belongsTo(key: string, certificate: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
}

export function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

export function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).type === 'private'
  } catch {
    return false
  }
}
