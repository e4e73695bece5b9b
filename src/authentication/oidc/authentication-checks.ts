import type { DocumentReading } from '../../config/document.ts'
import { valueAt, type Path } from '../../config/path.ts'
import type { ConfigProblem } from '../../config/problem.ts'

/**
 * Checks fields of an `AuthenticationConfiguration` against each other (apiserver
 * pkg/apis/apiserver/validation). It works on the unvalidated data, so that its problems are
 * reported together with the schema's; values of the wrong type are left to the schema.
 */
export function checkAcrossFields(reading: DocumentReading<unknown>): ConfigProblem[] {
  const { raw } = reading
  const jwt = valueAt(raw, ['jwt'])
  if (!Array.isArray(jwt)) return []
  const context: Context = {
    raw,
    problem: (path, message, fix) => reading.problem(path, message, fix),
  }
  const issuers = jwt.map((_, index): Path => ['jwt', index])
  return [
    ...issuers.flatMap((path) => checkIssuer(context, path)),
    ...checkUnique(
      context,
      issuers.map((path) => [...path, 'issuer', 'url']),
      'list each issuer once',
    ),
    ...checkUnique(
      context,
      issuers.map((path) => [...path, 'issuer', 'discoveryURL']),
      'give each issuer its own discovery document',
    ),
  ]
}

interface Context {
  readonly raw: unknown
  readonly problem: (path: Path, message: string, fix: string) => ConfigProblem
}

function checkIssuer(context: Context, path: Path): ConfigProblem[] {
  const mappings: Path = [...path, 'claimMappings']
  return [
    ...checkDiscoveryUrl(context, [...path, 'issuer']),
    ...checkAudiences(context, [...path, 'issuer']),
    ...checkRules(context, [...path, 'claimValidationRules']),
    ...checkClaimAndPrefix(context, [...mappings, 'username'], true),
    ...checkClaimAndPrefix(context, [...mappings, 'groups'], false),
  ]
}

function checkDiscoveryUrl({ raw, problem }: Context, path: Path): ConfigProblem[] {
  const url = valueAt(raw, [...path, 'url'])
  const discoveryUrl = valueAt(raw, [...path, 'discoveryURL'])
  if (typeof url !== 'string' || typeof discoveryUrl !== 'string') return []
  if (withoutSlash(url) !== withoutSlash(discoveryUrl)) return []
  const fix = 'remove discoveryURL, or write the URL of the discovery document itself'
  return [problem([...path, 'discoveryURL'], 'is the same as url', fix)]
}

function withoutSlash(url: string): string {
  return url.replace(/\/$/, '')
}

function checkAudiences(context: Context, path: Path): ConfigProblem[] {
  const { raw, problem } = context
  const audiences = valueAt(raw, [...path, 'audiences'])
  if (!Array.isArray(audiences)) return []
  const paths = audiences.map((_, index): Path => [...path, 'audiences', index])
  const problems = checkUnique(context, paths, 'list each audience once')
  const policy: Path = [...path, 'audienceMatchPolicy']
  if (audiences.length > 1 && valueAt(raw, policy) === undefined) {
    problems.push(
      problem(policy, 'is required if there is more than one audience', 'write MatchAny'),
    )
  }
  return problems
}

function checkRules(context: Context, path: Path): ConfigProblem[] {
  const { raw, problem } = context
  const rules = valueAt(raw, path)
  if (!Array.isArray(rules)) return []
  const claims = rules.map((_, index): Path => [...path, index, 'claim'])
  const missing = claims.filter(
    (claim, index) =>
      valueAt(raw, claim) === undefined &&
      valueAt(raw, [...path, index, 'expression']) === undefined,
  )
  return [
    ...missing.map((claim) => problem(claim, 'is required', 'name the claim to check')),
    ...checkUnique(context, claims, 'write one rule per claim'),
  ]
}

function checkClaimAndPrefix(
  { raw, problem }: Context,
  path: Path,
  isRequired: boolean,
): ConfigProblem[] {
  const has = (field: string) => valueAt(raw, [...path, field]) !== undefined
  // The schema refuses an expression, and its fix says to write claim and prefix.
  if (valueAt(raw, path) === undefined || has('expression')) return []
  if (!has('claim')) {
    if (!isRequired && !has('prefix')) return []
    return [problem([...path, 'claim'], 'is required', 'name the claim to read')]
  }
  if (has('prefix')) return []
  return [
    problem([...path, 'prefix'], 'is required if claim is set', 'write a prefix, or "" for none'),
  ]
}

/** Returns a problem for each value that is equal to one at an earlier path. */
function checkUnique(
  { raw, problem }: Context,
  paths: readonly Path[],
  fix: string,
): ConfigProblem[] {
  const seen = new Set<string>()
  return paths.flatMap((path) => {
    const value = valueAt(raw, path)
    if (typeof value !== 'string') return []
    if (seen.has(value)) return [problem(path, `${JSON.stringify(value)} is listed twice`, fix)]
    seen.add(value)
    return []
  })
}
