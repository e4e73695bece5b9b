import { createPrivateKey, X509Certificate } from 'node:crypto'
import { dirname, resolve } from 'node:path'

import type { LoadedDocument } from '../config/document.ts'
import type { Path } from '../config/path.ts'
import { ConfigError, type ConfigProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import type { Kubeconfig } from './kubeconfig-schema.ts'

/** Reads what a kubeconfig refers to; collects problems with their positions in it. */
export interface KubeconfigReader {
  readonly problems: readonly ConfigProblem[]
  /** Every file that the kubeconfig names, read or not. */
  readonly files: readonly string[]
  /** Path of the kubeconfig file. */
  readonly document: string
  /** Adds a problem at a field. */
  problem(path: Path, message: string, fix: string): void
  /** Adds a problem after which reading cannot go on; returns the error to throw. */
  fail(path: Path, message: string, fix: string): ConfigError
  /** The content of a file named in the kubeconfig, relative to it; undefined after adding a problem. */
  file(path: Path, name: string): string | undefined
  /**
   * PEM from `FIELD-data` (base64) or the file that `FIELD` names; as in client-go, `-data` takes
   * precedence.
   */
  pem(
    path: Path,
    field: string,
    object: Readonly<Record<string, unknown>>,
    isValid: (pem: string) => boolean,
  ): PemField
}

export interface PemField {
  /** The field that has the PEM, or that would have it. */
  readonly at: Path
  /** Whether the field is set. When it is set and `pem` is undefined, a problem was added. */
  readonly isGiven: boolean
  readonly pem: string | undefined
}

/** Creates a reader for one kubeconfig. */
export function createKubeconfigReader(
  document: string,
  source: LoadedDocument<Kubeconfig>,
): KubeconfigReader {
  const problems: ConfigProblem[] = []
  const files: string[] = []

  function problem(path: Path, message: string, fix: string): void {
    problems.push(source.problem(path, message, fix))
  }

  function readNamed(path: Path, name: string): string | undefined {
    const file = resolve(dirname(document), name)
    files.push(file)
    return readText(file, (message, fix) => problem(path, `${file} ${message}`, fix))
  }

  return {
    problems,
    files,
    document,
    problem,
    fail(path, message, fix) {
      problem(path, message, fix)
      return new ConfigError(problems)
    },
    file: readNamed,
    pem(path, field, object, isValid) {
      const data = object[`${field}-data`]
      const name = object[field]
      const inline = typeof data === 'string' && data !== ''
      const named = typeof name === 'string' && name !== ''
      const at = [...path, inline ? `${field}-data` : field]
      if (!inline && !named) return { at, isGiven: false, pem: undefined }
      const pem = inline
        ? Buffer.from(data, 'base64').toString('utf8')
        : readNamed(at, String(name))
      if (pem === undefined || isValid(pem)) return { at, isGiven: true, pem }
      problem(at, 'is not valid PEM', 'provide PEM; in a -data field, encode it as base64')
      return { at, isGiven: true, pem: undefined }
    },
  }
}

/** Whether a private key belongs to a certificate; both are valid PEM. */
export function belongsTo(key: string, certificate: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
}

/** Whether a text is a PEM certificate that can be parsed. */
export function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

/** Whether a text is a PEM private key that can be read without a passphrase. */
export function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).type === 'private'
  } catch {
    return false
  }
}
