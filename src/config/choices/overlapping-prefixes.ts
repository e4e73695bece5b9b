/** Prefixes of names. If two overlap, a user of one source could have the name of a user of the other. */
import { valueAt, type Path } from '../path.ts'

/** What begins every name of a source. */
export interface NamePrefix {
  /** Empty for names that may begin with anything but the prefix of another source. */
  readonly prefix: string
  /** Such as `authorities[0]`. */
  readonly source: string
}

/** The fields with the prefixes of user names and of groups, which are two name spaces. */
export const PREFIX_FIELDS = ['usernamePrefix', 'groupPrefix'] as const
export type PrefixField = (typeof PREFIX_FIELDS)[number]

/** The prefixes of the directories of `authentication.issuedCertificates`. */
export function directoryPrefixes(raw: object, field: PrefixField): readonly NamePrefix[] {
  return prefixesAt(raw, ['authentication', 'issuedCertificates', 'directories'], (directory) =>
    textAt(directory, field),
  )
}

/** The prefixes of the CAs of `authentication.x509.authorities`. */
export function authorityPrefixes(raw: object, field: PrefixField): readonly NamePrefix[] {
  return prefixesAt(raw, ['authentication', 'x509', 'authorities'], (authority) => {
    const text = textAt(authority, field)
    const domain = textAt(authority, 'trustDomain')
    return field === 'usernamePrefix' && domain !== '' ? `${text}spiffe://${domain}/` : text
  })
}

/**
 * Says with which of the others a prefix overlaps: one that it begins with, or that begins with it.
 *
 * @returns undefined when there is none
 */
export function overlapOf(
  { prefix }: NamePrefix,
  others: readonly NamePrefix[],
): string | undefined {
  const other = others.find(
    (one) => one.prefix !== '' && (one.prefix.startsWith(prefix) || prefix.startsWith(one.prefix)),
  )
  return prefix === '' || other === undefined
    ? undefined
    : `${JSON.stringify(prefix)}, with which its names begin, overlaps with ${JSON.stringify(other.prefix)} of ${other.source}`
}

function prefixesAt(
  raw: object,
  list: Path,
  prefixOf: (entry: unknown) => string,
): readonly NamePrefix[] {
  const entries = valueAt(raw, list)
  const name = list.at(-1)
  return Array.from(Array.isArray(entries) ? entries : [], (entry: unknown, i) => ({
    prefix: prefixOf(entry),
    source: `${name}[${i}]`,
  }))
}

function textAt(entry: unknown, field: string): string {
  const text = valueAt(entry, [field])
  return typeof text === 'string' ? text : ''
}
