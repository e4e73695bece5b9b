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

/** The part of the rules file. */
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

/** The part of `signIn.caFile`. */
export function servingCAPart(file: string): Part<string> {
  return {
    what: 'serving CA',
    files: () => [file],
    load: () => loadServingCA(file),
    report: () => ({ warnings: [] }),
  }
}

/** The part of the lock file. */
export function lockFilePart(file: string): Part<LoadedLocks> {
  return {
    what: 'locks',
    files: () => [file],
    load: () => loadLockFile(file),
    report: ({ warnings }, now) => ({ warnings: warnings(now) }),
  }
}

/** The part of the secrets of pages; undefined if there are none, or their files cannot be named. */
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
