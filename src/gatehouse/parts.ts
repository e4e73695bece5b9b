/** The parts that a file of gatehouse.yaml is read into, where reading is all there is to them. */
import { loadRules, type LoadedRules } from '../authorization/rules/load.ts'
import type { ConfigurationReading } from '../config/load.ts'
import { valueAt } from '../config/path.ts'
import { loadLockFile, type LoadedLocks } from '../locks/file.ts'
import { loadPagesSecrets, SECRET_FIELDS, type PagesSecrets } from '../sign-in/pages/secrets.ts'
import { loadServingCA } from '../sign-in/serving-ca.ts'
import { warnOfReaders } from './certificate-report.ts'
import type { Part } from './reloadable.ts'
import { readSubjectNames } from './subject-names.ts'

export function rulesPart(file: string, reading: ConfigurationReading): Part<LoadedRules> {
  return {
    what: 'rules',
    files: () => [file],
    load: (current) => loadRules(file, current),
    report({ warnings, warnOfSubjects }) {
      const names = readSubjectNames(reading)
      return { warnings: names === undefined ? warnings : [...warnings, ...warnOfSubjects(names)] }
    },
  }
}

export function servingCAPart(file: string): Part<string> {
  return {
    what: 'serving CA',
    files: () => [file],
    load: () => loadServingCA(file),
    report: () => ({ warnings: [] }),
  }
}

export function lockFilePart(file: string): Part<LoadedLocks> {
  return {
    what: 'locks',
    files: () => [file],
    load: () => loadLockFile(file),
    report: ({ warnings }, now) => ({ warnings: warnings(now) }),
  }
}

export function pagesPart({ raw, fileAt }: ConfigurationReading): Part<PagesSecrets> | undefined {
  if (valueAt(raw, ['signIn', 'pages']) === undefined) return undefined
  const found = SECRET_FIELDS.flatMap((field) => {
    const file = fileAt(['signIn', 'pages', field])
    return file === undefined ? [] : [[field, file] as const]
  })
  const files = found.map(([, file]) => file)
  return {
    what: 'sign-in pages',
    files: () => files,
    load: () => loadPagesSecrets(Object.fromEntries(found)),
    report: () => ({ warnings: warnOfReaders(files) }),
  }
}
