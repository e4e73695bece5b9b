/** Finds subjects whose names no way of signing in gives to anybody. */
import type { AccessRules } from '../schema.ts'
import { likely, type Finding, type ValueFinding } from './finding.ts'

/** Which names users and groups can have. */
export interface SubjectNames {
  /** The prefixes of user names, one for each issuer of tokens. */
  readonly userPrefixes: readonly string[]
  /** The prefixes of groups, one for each issuer whose tokens have groups. */
  readonly groupPrefixes: readonly string[]
  /** Whether there are client certificates, whose users and groups have no prefix. */
  readonly hasCertificates: boolean
  /** Names of Kubernetes (`system:`) that users and groups may have; `*` at the end stands for more. */
  readonly systemUsers: readonly string[]
  readonly systemGroups: readonly string[]
}

/** Every user is in this group. */
const AUTHENTICATED = 'system:authenticated'

/** Expects rules without problems. */
export function findSubjects({ rules }: AccessRules, names: SubjectNames): Finding[] {
  const { userPrefixes, groupPrefixes, hasCertificates, systemUsers, systemGroups } = names
  return rules.flatMap(({ subjects, effect }, i) => {
    // Certificates may have the name, so only a deny that spares tokens is probably a mistake.
    const isForCertificates = hasCertificates && effect === 'allow'
    const kinds = [
      { field: 'users', word: 'user', prefixes: userPrefixes, system: systemUsers },
      {
        field: 'groups',
        word: 'group',
        prefixes: groupPrefixes,
        system: [...systemGroups, AUTHENTICATED],
      },
    ] as const
    return kinds.flatMap(({ field, word, prefixes, system }) => {
      const patterns = subjects?.[field] ?? []
      return patterns.flatMap((pattern, j) => {
        const found = pattern.toLowerCase().startsWith('system:')
          ? findSystemName(pattern, word, system)
          : isForCertificates || isCovered(pattern, patterns, prefixes, hasCertificates)
            ? undefined
            : findUnprefixed(pattern, word, prefixes, hasCertificates)
        return found === undefined ? [] : [{ ...found, path: ['rules', i, 'subjects', field, j] }]
      })
    })
  })
}

/** The identity guard rejects these names, unless the configuration lists them. */
function findSystemName(
  pattern: string,
  word: 'user' | 'group',
  allowed: readonly string[],
): ValueFinding | undefined {
  if (allowed.some((name) => overlaps(pattern, name))) return undefined
  const text = JSON.stringify(pattern)
  return likely(
    `no ${word} has the name ${text}: Gatehouse rejects "system:" names that are not listed`,
    `list it in authentication.systemIdentities.${word}s of gatehouse.yaml, or remove it`,
  )
}

/**
 * Whether a name with a prefix can match, or if there are certificates, whether the rule names the
 * tokens' form of it, too.
 */
function isCovered(
  pattern: string,
  patterns: readonly string[],
  prefixes: readonly string[],
  hasCertificates: boolean,
): boolean {
  if (prefixes.some((prefix) => mayBegin(pattern, prefix))) return true
  if (!hasCertificates) return false
  return prefixes.every((prefix) =>
    patterns.some((other) => other === prefix + pattern || matchesAll(other, prefix)),
  )
}

function findUnprefixed(
  pattern: string,
  word: 'user' | 'group',
  prefixes: readonly string[],
  hasCertificates: boolean,
): ValueFinding {
  const text = JSON.stringify(pattern)
  if (prefixes.length === 0) {
    return likely(
      `no ${word} has the name ${text}: no issuer has claimMappings.${word}s, and there are no client certificates`,
      'configure claimMappings in authentication.yaml, or remove it',
    )
  }
  const meant = prefixes.map((prefix) => JSON.stringify(prefix + pattern)).join(' or ')
  return hasCertificates
    ? likely(
        `${text} matches only certificates: every ${word} of a token begins with a prefix`,
        `add ${meant} to deny them, too`,
      )
    : likely(
        `no ${word} has the name ${text}: each begins with the prefix of its issuer`,
        `did you mean ${meant}?`,
      )
}

/** Whether a name that begins with the prefix may match the pattern. */
function mayBegin(pattern: string, prefix: string): boolean {
  if (!pattern.endsWith('*')) return pattern.startsWith(prefix)
  const begin = pattern.slice(0, -1)
  return begin.startsWith(prefix) || prefix.startsWith(begin)
}

function matchesAll(pattern: string, prefix: string): boolean {
  return pattern.endsWith('*') && prefix.startsWith(pattern.slice(0, -1))
}

function overlaps(pattern: string, name: string): boolean {
  const [a, b] = [withoutStar(pattern), withoutStar(name)]
  if (pattern.endsWith('*') && name.endsWith('*')) return a.startsWith(b) || b.startsWith(a)
  if (pattern.endsWith('*')) return b.startsWith(a)
  return name.endsWith('*') ? a.startsWith(b) : a === b
}

function withoutStar(pattern: string): string {
  return pattern.endsWith('*') ? pattern.slice(0, -1) : pattern
}
