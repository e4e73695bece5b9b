/** Checks that no two sources of user names or groups can give the same name. */
import type { DocumentReading } from '../../config/document.ts'
import { fieldName, valueAt, type Path } from '../../config/path.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import type { Configuration } from '../../config/schema.ts'
import type { Expressions } from './authentication-expressions.ts'
import { prefixOfNames } from './expression-prefix.ts'

/** The options of gatehouse.yaml that concern issuers. */
export interface IssuerOptions {
  readonly issuers: Configuration['authentication']['issuers']
  /** The prefixes of names in client certificates, `''` among them for names without one. */
  readonly certificatePrefixes: Readonly<Record<NameField, readonly string[]>>
  /** The prefixes of names in directories, which no issuer shares. */
  readonly directoryPrefixes?: Readonly<Record<NameField, readonly string[]>>
  /** Whose tokens the API server reviews; an issuer here must not be one of them. */
  readonly serviceAccountIssuers?: readonly string[]
}

const NAMES = { username: 'user names', groups: 'groups' } as const
type NameField = keyof typeof NAMES
const NAME_FIELDS: readonly NameField[] = ['username', 'groups']

interface Source {
  readonly url: string
  readonly prefix: string
  /** Where the prefix is, or the expression that makes the names. */
  readonly path: Path
  readonly isExpression: boolean
}

/**
 * Checks the prefixes of each issuer against those of the others, of client certificates and of directories.
 * Names in certificates without a prefix may be any but those of an issuer, which are refused. Two prefixes
 * overlap if one begins with the other: with `a:` and `a:b:`, the user `b:ada` of the first issuer is the user
 * `ada` of the second. User names and groups are two name spaces. Of an expression, the prefix is what all of
 * its names are known to begin with.
 */
export function checkNames(
  reading: DocumentReading<unknown>,
  expressions: Expressions,
  options: IssuerOptions,
): ConfigProblem[] {
  const sharing = new Set(
    options.issuers.flatMap(({ url, sharesNames }) => (sharesNames ? [url] : [])),
  )
  return NAME_FIELDS.flatMap((field) => {
    const sources = sourcesOf(reading.raw, field, expressions)
    return sources.flatMap((source, i) => {
      const isShared = sharing.has(source.url)
      const others = sources.slice(0, i).filter(({ url }) => !(isShared && sharing.has(url)))
      const found = [
        ...(isShared ? [] : findInCertificates(source, field, options)),
        ...findInDirectories(source, field, isShared, options),
        ...findInIssuers(source, field, others),
      ]
      return found.map(({ message, fix }) => reading.problem(source.path, message, fix))
    })
  })
}

interface Overlap {
  readonly message: string
  readonly fix: string
}

function findInCertificates(
  source: Source,
  field: NameField,
  { certificatePrefixes }: IssuerOptions,
): readonly Overlap[] {
  const { prefix, isExpression } = source
  const taken = takenPrefix(prefix, certificatePrefixes[field])
  if (taken === undefined) return []
  const fix = `${fixOf(source)}, or accept it with sharesNames: true in authentication.issuers of gatehouse.yaml`
  const message =
    taken === ''
      ? `${isExpression ? 'begins with no constant prefix' : 'is empty'}, so ${NAMES[field]} of this issuer may be those of client certificates`
      : `${JSON.stringify(prefix)} overlaps with ${JSON.stringify(taken)}, with which ${NAMES[field]} of client certificates begin`
  return [{ message, fix }]
}

function findInDirectories(
  source: Source,
  field: NameField,
  isShared: boolean,
  { directoryPrefixes }: IssuerOptions,
): readonly Overlap[] {
  const { prefix } = source
  // Names of users who share theirs may be any but those of a directory, which are refused.
  if (isShared && prefix === '') return []
  const taken = takenPrefix(prefix, directoryPrefixes?.[field] ?? [])
  if (taken === undefined) return []
  const message = `${JSON.stringify(prefix)} overlaps with ${JSON.stringify(taken)}, with which ${NAMES[field]} of a directory in gatehouse.yaml begin`
  return [{ message, fix: `${fixOf(source)}, or another one for the directory` }]
}

function findInIssuers(
  source: Source,
  field: NameField,
  others: readonly Source[],
): readonly Overlap[] {
  const { prefix } = source
  const other = others.find((one) => overlaps(prefix, one.prefix))
  if (other === undefined) return []
  const message = `${JSON.stringify(prefix)} overlaps with the prefix ${JSON.stringify(other.prefix)} of ${other.url}, so ${NAMES[field]} of both issuers may be the same`
  const fix = `${fixOf(source)}, with which no other begins, or accept it with sharesNames: true for both in authentication.issuers of gatehouse.yaml`
  return [{ message, fix }]
}

function fixOf({ isExpression }: Source): string {
  return isExpression
    ? 'begin the expression with a prefix, such as "oidc:" + claims.sub'
    : 'set a prefix'
}

function sourcesOf(raw: unknown, field: NameField, expressions: Expressions): Source[] {
  const jwt = valueAt(raw, ['jwt'])
  if (!Array.isArray(jwt)) return []
  return jwt.flatMap((_, i): Source[] => {
    const mapping: Path = ['jwt', i, 'claimMappings', field]
    const url = valueAt(raw, ['jwt', i, 'issuer', 'url'])
    if (typeof url !== 'string') return []
    const expressionPath = [...mapping, 'expression']
    const expression = expressions.get(fieldName(expressionPath))
    if (expression !== undefined) {
      const prefix = prefixOfNames(expression.syntax)
      return [{ url, prefix, path: expressionPath, isExpression: true }]
    }
    const path = [...mapping, 'prefix']
    const prefix = valueAt(raw, path)
    const hasClaim = typeof valueAt(raw, [...mapping, 'claim']) === 'string'
    return hasClaim && typeof prefix === 'string'
      ? [{ url, prefix, path, isExpression: false }]
      : []
  })
}

/** The prefix of certificates that an issuer's prefix overlaps with; undefined when there is none. */
function takenPrefix(prefix: string, ofCertificates: readonly string[]): string | undefined {
  // Certificates without a prefix must not have the names of an issuer with one.
  if (prefix === '' && ofCertificates.includes('')) return ''
  return ofCertificates.find((other) => other !== '' && overlaps(prefix, other))
}

function overlaps(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a)
}

/** Checks that a token is judged by one method, as kube-apiserver does for its own service accounts. */
export function checkServiceAccountIssuers(
  reading: DocumentReading<unknown>,
  { serviceAccountIssuers = [] }: IssuerOptions,
): ConfigProblem[] {
  const jwt = valueAt(reading.raw, ['jwt'])
  if (!Array.isArray(jwt)) return []
  return jwt.flatMap((_, i) => {
    const path: Path = ['jwt', i, 'issuer', 'url']
    const url = valueAt(reading.raw, path)
    if (typeof url !== 'string' || !serviceAccountIssuers.includes(url)) return []
    const message = 'is also listed in authentication.serviceAccounts.issuers of gatehouse.yaml'
    return [reading.problem(path, message, 'remove it here or there')]
  })
}
