/** Checks that no two sources of user names or groups can give the same name. */
import type { DocumentReading } from '../../config/document.ts'
import { valueAt, type Path } from '../../config/path.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import type { Configuration } from '../../config/schema.ts'

/** The options of gatehouse.yaml that concern issuers. */
export interface IssuerOptions {
  readonly issuers: Configuration['authentication']['issuers']
  /** Whether client certificates sign users in, too. */
  readonly hasCertificates: boolean
}

interface Source {
  readonly url: string
  readonly prefix: string
  /** Where the prefix is. */
  readonly path: Path
}

/**
 * Checks the prefixes of each issuer against those of the others and against client certificates, whose
 * names have no prefix. Two prefixes overlap if one begins with the other: with `a:` and `a:b:`, the user
 * `b:ada` of the first issuer is the user `ada` of the second. User names and groups are two name spaces.
 */
export function checkNames(
  reading: DocumentReading<unknown>,
  { issuers, hasCertificates }: IssuerOptions,
): ConfigProblem[] {
  const sharing = new Set(issuers.flatMap(({ url, sharesNames }) => (sharesNames ? [url] : [])))
  return (['username', 'groups'] as const).flatMap((field) => {
    const sources = sourcesOf(reading.raw, field)
    const names = field === 'username' ? 'user names' : 'groups'
    return sources.flatMap((source, i) => {
      const { url, prefix, path } = source
      const problems: ConfigProblem[] = []
      if (hasCertificates && prefix === '' && !sharing.has(url)) {
        problems.push(
          reading.problem(
            path,
            `is empty, so ${names} of this issuer may be those of client certificates`,
            'set a prefix, or accept it with sharesNames: true in authentication.issuers of gatehouse.yaml',
          ),
        )
      }
      const other = sources
        .slice(0, i)
        .find((one) => overlaps(source, one) && !(sharing.has(url) && sharing.has(one.url)))
      if (other !== undefined) {
        problems.push(
          reading.problem(
            path,
            `${JSON.stringify(prefix)} overlaps with the prefix ${JSON.stringify(other.prefix)} of ${other.url}, so ${names} of both issuers may be the same`,
            'set a prefix with which no other begins, or accept it with sharesNames: true for both in authentication.issuers of gatehouse.yaml',
          ),
        )
      }
      return problems
    })
  })
}

function sourcesOf(raw: unknown, field: 'username' | 'groups'): Source[] {
  const jwt = valueAt(raw, ['jwt'])
  if (!Array.isArray(jwt)) return []
  return jwt.flatMap((_, i) => {
    const path: Path = ['jwt', i, 'claimMappings', field, 'prefix']
    const prefix = valueAt(raw, path)
    const url = valueAt(raw, ['jwt', i, 'issuer', 'url'])
    return typeof prefix === 'string' && typeof url === 'string' ? [{ url, prefix, path }] : []
  })
}

function overlaps({ prefix: a }: Source, { prefix: b }: Source): boolean {
  return a.startsWith(b) || b.startsWith(a)
}
