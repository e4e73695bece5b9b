/** Finds names and patterns that no user, namespace or object has. */
import type { Path } from '../../../config/path.ts'
import type { AccessRule } from '../schema.ts'
import { at, certain, type Finding, type ValueFinding } from './finding.ts'

/** The findings about the names in one rule. */
export function findNames({ subjects, resources = [], nonResourceURLs }: AccessRule): Finding[] {
  const found: Finding[] = []
  const check = (
    path: Path,
    patterns: readonly string[] = [],
    find: (pattern: string) => ValueFinding | undefined = () => undefined,
  ): void => {
    patterns.forEach((pattern, i) => {
      found.push(...at([...path, i], findPattern(pattern) ?? find(pattern)))
    })
  }
  if (subjects !== undefined && subjects.users === undefined && subjects.groups === undefined) {
    const fix = 'set users or groups, or omit subjects to match every user'
    found.push(...at(['subjects'], certain('matches no user', fix)))
  }
  check(['subjects', 'users'], subjects?.users, findEmpty)
  check(['subjects', 'groups'], subjects?.groups, findEmpty)
  check(['nonResourceURLs'], nonResourceURLs)
  resources.forEach(({ namespaces, resourceNames }, i) => {
    check(['resources', i, 'resourceNames'], resourceNames, findObjectName)
    check(['resources', i, 'namespaces'], namespaces, findNamespace)
  })
  return found
}

/** A `*` before the end would be matched literally; requests never have blanks at an end. */
function findPattern(pattern: string): ValueFinding | undefined {
  const text = JSON.stringify(pattern)
  if (pattern.slice(0, -1).includes('*')) {
    return certain(`${text} has a "*" before its end`, 'use "*" only at the end')
  }
  const trimmed = pattern.trim()
  if (trimmed === pattern) return undefined
  return certain(
    `${text} begins or ends with a blank, which no name does`,
    `use ${JSON.stringify(trimmed)}`,
  )
}

/** The identity guard rejects empty names. */
function findEmpty(name: string): ValueFinding | undefined {
  return name === '' ? certain('"" is the name of nobody', 'remove it') : undefined
}

/** A DNS label (apimachinery `ValidateNamespaceName`), or its beginning; `''` is not a namespace. */
function findNamespace(pattern: string): ValueFinding | undefined {
  const isPrefix = pattern.endsWith('*')
  const name = isPrefix ? pattern.slice(0, -1) : pattern
  if (name === '') return undefined
  const label = isPrefix ? /^[a-z0-9][-a-z0-9]{0,62}$/ : /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/
  if (label.test(name)) return undefined
  const text = JSON.stringify(pattern)
  const lower = name.toLowerCase()
  return certain(
    `${text} is not the name of a namespace`,
    label.test(lower)
      ? `use ${JSON.stringify(isPrefix ? `${lower}*` : lower)}`
      : 'use a DNS label, such as team-a or "team-*"',
  )
}

/** A name is one segment of a path (apimachinery `IsValidPathSegmentName`). */
function findObjectName(pattern: string): ValueFinding | undefined {
  if (pattern !== '.' && pattern !== '..' && !/[/%]/.test(pattern)) return undefined
  return certain(
    `${JSON.stringify(pattern)} is not the name of an object`,
    pattern.includes('/') ? 'use the name alone, and namespaces for its namespace' : 'correct it',
  )
}
