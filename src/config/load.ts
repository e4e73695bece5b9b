/** gatehouse.yaml: read, checked in itself and against the files that it names. */
import { accessSync, constants, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import { readDocument, type Path, type Source } from './document.ts'
import { valueAt } from './issues.ts'
import type { ConfigProblem } from './problem.ts'
import { configurationSchema, type Configuration } from './schema.ts'

export interface ConfigurationReading {
  /** Undefined when there are problems. Paths in it are absolute. */
  readonly configuration: Configuration | undefined
  readonly problems: readonly ConfigProblem[]
  /** For problems that are found later, when the files named here are read. */
  readonly source: Source
  /** The path in a field, made absolute, whether or not the rest is right. */
  fileAt(field: Path): string | undefined
}

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

const AUDIT_FILE: Path = ['audit', 'file', 'path']

/** Reads the configuration; never throws. */
export function readConfiguration(file: string): ConfigurationReading {
  const reading = readDocument(file, configurationSchema)
  const fileAt = (field: Path): string | undefined => {
    const value = valueAt(reading.raw, field)
    return typeof value === 'string' && value !== '' ? resolve(dirname(file), value) : undefined
  }
  const problems = [
    ...reading.problems,
    ...checkFiles(reading.raw, reading, fileAt),
    ...checkChoices(reading.raw, reading),
  ]
  return {
    configuration:
      reading.value === undefined || problems.length > 0
        ? undefined
        : absolutePaths(reading.value, dirname(file)),
    problems,
    source: reading,
    fileAt,
  }
}

function checkFiles(
  raw: unknown,
  source: Source,
  fileAt: (field: Path) => string | undefined,
): ConfigProblem[] {
  const problems = [...INPUT_FILES, ...sniFields(raw)].flatMap((field) => {
    const file = fileAt(field)
    const why = file === undefined ? undefined : unreadable(file)
    return why === undefined
      ? []
      : [source.problem(field, `${String(file)} ${why}`, 'correct the path, or put the file there')]
  })
  const auditFile = fileAt(AUDIT_FILE)
  if (auditFile !== undefined && !isFolder(dirname(auditFile))) {
    const message = `the folder ${dirname(auditFile)} does not exist`
    problems.push(source.problem(AUDIT_FILE, message, 'create the folder, or correct the path'))
  }
  return problems
}

function sniFields(raw: unknown): Path[] {
  const sni = valueAt(raw, ['listener', 'tls', 'sniCertificates'])
  return (Array.isArray(sni) ? sni : []).flatMap((_, i) => [
    ['listener', 'tls', 'sniCertificates', i, 'certFile'],
    ['listener', 'tls', 'sniCertificates', i, 'privateKeyFile'],
  ])
}

function unreadable(file: string): string | undefined {
  try {
    if (statSync(file).isDirectory()) return 'is a folder'
    accessSync(file, constants.R_OK)
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown error'})`
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** What the fields say of each other. On bare data, so that it is found beside other problems. */
function checkChoices(raw: unknown, source: Source): ConfigProblem[] {
  if (typeof raw !== 'object' || raw === null) return []
  const problems: ConfigProblem[] = []
  const add: AddProblem = (field, message, mend) => {
    problems.push(source.problem(field, message, mend))
  }
  checkUpstream(raw, add)
  checkSigningIn(raw, add)
  checkSinks(raw, add)
  checkPorts(raw, add)
  return problems
}

type AddProblem = (field: Path, message: string, mend: string) => void

function has(raw: object, ...field: Path): boolean {
  return valueAt(raw, field) !== undefined
}

function checkUpstream(raw: object, add: AddProblem): void {
  if (!has(raw, 'upstream')) return
  const inCluster = valueAt(raw, ['upstream', 'inCluster']) === true
  const kubeconfig = has(raw, 'upstream', 'kubeconfig')
  if (!inCluster && !kubeconfig) {
    add(['upstream'], 'names no API server', 'set kubeconfig, or inCluster: true')
  }
  if (inCluster && kubeconfig) {
    add(['upstream', 'inCluster'], 'conflicts with kubeconfig', 'keep one of the two')
  }
  if (inCluster && has(raw, 'upstream', 'context')) {
    add(['upstream', 'context'], 'means nothing with inCluster', 'remove it')
  }
  const mode = valueAt(raw, ['upstream', 'identity', 'mode'])
  if (has(raw, 'upstream', 'identity', 'requestheader') && mode !== 'requestheader') {
    add(
      ['upstream', 'identity', 'requestheader'],
      'conflicts with the mode impersonation',
      'set mode: requestheader, or remove it',
    )
  }
}

function checkSigningIn(raw: object, add: AddProblem): void {
  const authentication = valueAt(raw, ['authentication'])
  if (typeof authentication !== 'object' || authentication === null) return
  if (!has(authentication, 'x509') && !has(authentication, 'configFile')) {
    add(['authentication'], 'nobody could sign in', 'set x509, configFile or both')
  }
}

function checkSinks(raw: object, add: AddProblem): void {
  const audit = valueAt(raw, ['audit'])
  if (typeof audit !== 'object' || audit === null) return
  const stdout = has(audit, 'stdout') && valueAt(audit, ['stdout', 'enabled']) !== false
  if (!has(audit, 'file') && !stdout) {
    add(['audit'], 'there is no sink', 'set file, or stdout: { enabled: true }')
  }
}

function checkPorts(raw: object, add: AddProblem): void {
  const listenerPort = valueAt(raw, ['listener', 'port']) ?? 8443
  const probesPort = valueAt(raw, ['probes', 'port']) ?? 8081
  if (listenerPort !== 0 && listenerPort === probesPort) {
    add(['probes', 'port'], 'is the port of the listener', 'choose another')
  }
}

/** A copy whose file fields are absolute. */
function absolutePaths(configuration: Configuration, folder: string): Configuration {
  const copy = structuredClone(configuration)
  for (const field of [...INPUT_FILES, ...sniFields(copy), AUDIT_FILE]) {
    const holder = valueAt(copy, field.slice(0, -1)) as Record<string, string> | undefined
    const name = String(field.at(-1))
    const value = holder?.[name]
    if (holder !== undefined && value !== undefined) holder[name] = resolve(folder, value)
  }
  return copy
}
