/** Finds subjects whose names no way of signing in gives to anybody. */
import type { AccessRules } from '../schema.ts'
import { likely, type Finding, type ValueFinding } from './finding.ts'

/** Which names users and groups can have. */
export interface SubjectNames {
  /** The prefixes of user names, one for each issuer of tokens. */
  readonly userPrefixes: readonly string[]
  /** Where groups come from: one for each issuer whose tokens have groups, and for each directory. */
  readonly groupSources: readonly GroupNames[]
  /** Whether there are client certificates, whose users and groups have no prefix. */
  readonly hasCertificates: boolean
  /** Names of Kubernetes (`system:`) that users and groups may have; `*` at the end stands for more. */
  readonly systemUsers: readonly string[]
  readonly systemGroups: readonly string[]
}

/** The groups of one source. */
export interface GroupNames {
  /** Begins the name of each. */
  readonly prefix: string
  /** Undefined: every group is asserted. */
  readonly filter: GroupFilterNames | undefined
}

export interface GroupFilterNames {
  /** The URL of the issuer. */
  readonly issuer: string
  /** `allowedGroups`: names, or the beginning of names with `*`. */
  readonly allowed: readonly string[]
}

/** Every user is in this group. */
const AUTHENTICATED = 'system:authenticated'

/** Expects rules without problems. */
export function findSubjects({ rules }: AccessRules, names: SubjectNames): Finding[] {
  const { userPrefixes, groupSources, hasCertificates, systemUsers, systemGroups } = names
  const groupPrefixes = groupSources.map(({ prefix }) => prefix)
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
        const found = isSystemName(pattern)
          ? findSystemName(pattern, word, system)
          : isForCertificates || isCovered(pattern, patterns, prefixes, hasCertificates)
            ? undefined
            : findUnprefixed(pattern, word, prefixes, hasCertificates)
        return found === undefined ? [] : [{ ...found, path: ['rules', i, 'subjects', field, j] }]
      })
    })
  })
}

/**
 * Finds groups of allow rules that `allowedGroups` leaves out: only deny rules count these. Expects rules
 * without problems.
 */
export function findDroppedGroups({ rules }: AccessRules, names: SubjectNames): Finding[] {
  return rules.flatMap((rule, i) => {
    if (rule.effect === 'deny') return []
    return (['subjects', 'impersonatedBy'] as const).flatMap((field) =>
      (rule[field]?.groups ?? []).flatMap((pattern, j) => {
        const found = findDropped(pattern, names)
        return found === undefined ? [] : [{ ...found, path: ['rules', i, field, 'groups', j] }]
      }),
    )
  })
}

/**
 * Says why no user is known to be in a group.
 *
 * @param pattern a group, or the beginning of groups with `*`
 */
export function findDropped(
  pattern: string,
  { groupSources, hasCertificates }: Pick<SubjectNames, 'groupSources' | 'hasCertificates'>,
): ValueFinding | undefined {
  // Most of these come from no issuer.
  if (isSystemName(pattern)) return undefined
  const sources = groupSources.filter(({ prefix }) => mayBegin(pattern, prefix))
  const begin = withoutStar(pattern)
  // Certificates have no names that begin with the prefix of an issuer.
  const isOfTokens = sources.some(({ prefix }) => prefix !== '' && begin.startsWith(prefix))
  if (hasCertificates && !isOfTokens) return undefined
  const issuers: string[] = []
  for (const { filter } of sources) {
    if (filter === undefined || filter.allowed.some((name) => overlaps(pattern, name))) {
      return undefined
    }
    issuers.push(filter.issuer)
  }
  if (issuers.length === 0) return undefined
  return likely(
    `allowedGroups of ${issuers.join(' and ')} leaves out ${JSON.stringify(pattern)}: no user has it here, only deny rules count it`,
    'add it to allowedGroups in gatehouse.yaml, or remove it',
  )
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

function isSystemName(pattern: string): boolean {
  return pattern.toLowerCase().startsWith('system:')
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
