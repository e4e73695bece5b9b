/** The files that gatehouse.yaml names: which they are, and whether they can be had. */
import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'

import type { Source } from './document.ts'
import { fieldName, valueAt, type Path } from './path.ts'
import type { ConfigProblem } from './problem.ts'
import { fileFault, IS_DIRECTORY, type FileFault } from './read-text.ts'

/** The path in a field, made absolute, whether or not the rest of the document is right. */
export type FileAt = (field: Path) => string | undefined

/** Fields that name files which must be there. */
const INPUT_FILES: readonly Path[] = [
  ['listener', 'tls', 'certFile'],
  ['listener', 'tls', 'privateKeyFile'],
  ['authentication', 'configFile'],
  ['authentication', 'x509', 'clientCAFile'],
  ['authentication', 'x509', 'crlFile'],
  ['authorization', 'rulesFile'],
  ['upstream', 'kubeconfig'],
]

export const AUDIT_FILE: Path = ['audit', 'file', 'path']

/** Every field of the document that names a file to be read, those of lists included. */
export function inputFileFields(raw: unknown): readonly Path[] {
  const sni = valueAt(raw, ['listener', 'tls', 'sniCertificates'])
  const pairs = (Array.isArray(sni) ? sni : []).flatMap((_, i) => [
    ['listener', 'tls', 'sniCertificates', i, 'certFile'],
    ['listener', 'tls', 'sniCertificates', i, 'privateKeyFile'],
  ])
  return [...INPUT_FILES, ...pairs]
}

/** Files that cannot be read, and an audit log that cannot be written. */
export function checkFiles(raw: unknown, source: Source, fileAt: FileAt): ConfigProblem[] {
  const problems = inputFileFields(raw).flatMap((field) => {
    const file = fileAt(field)
    const fault = file === undefined ? undefined : unreadable(file)
    return fault === undefined
      ? []
      : [source.problem(field, `${String(file)} ${fault[0]}`, fault[1])]
  })
  const auditFile = fileAt(AUDIT_FILE)
  const unwritten = auditFile === undefined ? undefined : unwritable(auditFile)
  if (unwritten !== undefined) problems.push(source.problem(AUDIT_FILE, ...unwritten))
  return problems
}

/** Of a problem that names nothing but a file: the field of the document that names this file. */
export function fieldOf(file: string, raw: unknown, fileAt: FileAt): Path | undefined {
  return inputFileFields(raw).find((field) => fileAt(field) === file)
}

/** The field of the document with this name. */
export function fieldNamed(name: string, raw: unknown): Path | undefined {
  const others: readonly Path[] = [
    ['upstream', 'context'],
    ['upstream', 'inCluster'],
  ]
  return [...inputFileFields(raw), ...others].find((field) => fieldName(field) === name)
}

function unreadable(file: string): FileFault | undefined {
  try {
    if (statSync(file).isDirectory()) return IS_DIRECTORY
    accessSync(file, constants.R_OK)
    return undefined
  } catch (error) {
    return fileFault(error)
  }
}

/**
 * Why a file could neither be created nor appended to, nor renamed when it is rotated; undefined when
 * it could.
 */
export function unwritable(
  file: string,
  access: (path: string, mode: number) => void = accessSync,
): FileFault | undefined {
  const folder = dirname(file)
  if (isFolder(file)) return [`${file} is a directory`, 'name a file in it, such as audit.log']
  if (!isFolder(folder)) {
    return [`the directory ${folder} does not exist`, 'create it, or correct the path']
  }
  const fix = 'give the user that Gatehouse runs as the right to write it, or choose another path'
  const isThere = statSync(file, { throwIfNoEntry: false }) !== undefined
  const needed: readonly (readonly [string, number, string])[] = [
    [folder, constants.W_OK | constants.X_OK, `the directory ${folder}`],
    ...(isThere ? [[file, constants.W_OK, file] as const] : []),
  ]
  for (const [path, mode, name] of needed) {
    try {
      access(path, mode)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      return [`${name} cannot be written: ${code ?? 'unknown error'}`, fix]
    }
  }
  return undefined
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
