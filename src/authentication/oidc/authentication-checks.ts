import type { DocumentReading } from '../../config/document.ts'
import { valueAt, type Path } from '../../config/path.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import {
  createExpressionReader,
  type ExpressionReader,
  type Expressions,
} from './authentication-expressions.ts'
import { extraKeyProblem } from './extra-key.ts'
import { usesClaim } from './used-claims.ts'

export interface CheckedFields {
  readonly problems: readonly ConfigProblem[]
  /** Every expression that compiles, by the path of its field. */
  readonly expressions: Expressions
}

/**
 * Checks fields of an `AuthenticationConfiguration` against each other, and compiles its expressions
 * (apiserver pkg/apis/apiserver/validation). It works on the unvalidated data, so that its problems are
 * reported together with the schema's; values of the wrong type are left to the schema.
 */
export function checkAcrossFields(reading: DocumentReading<unknown>): CheckedFields {
  const { raw } = reading
  const problems: ConfigProblem[] = []
  const report = (path: Path, message: string, fix: string): void => {
    problems.push(reading.problem(path, message, fix))
  }
  const expressions = createExpressionReader(raw, report)
  const context: Context = { raw, report, expressions }
  const issuers = itemsAt(raw, ['jwt'])
  for (const path of issuers) checkIssuer(context, path)
  checkUnique(
    context,
    issuers.map((path) => [...path, 'issuer', 'url']),
    'list each issuer once',
  )
  checkUnique(
    context,
    issuers.map((path) => [...path, 'issuer', 'discoveryURL']),
    'give each issuer its own discovery document',
  )
  return { problems, expressions: expressions.all }
}

interface Context {
  readonly raw: unknown
  readonly report: (path: Path, message: string, fix: string) => void
  readonly expressions: ExpressionReader
}

function checkIssuer(context: Context, path: Path): void {
  const mappings: Path = [...path, 'claimMappings']
  checkDiscoveryUrl(context, [...path, 'issuer'])
  checkAudiences(context, [...path, 'issuer'])
  checkClaimRules(context, [...path, 'claimValidationRules'])
  checkNameMapping(context, [...mappings, 'username'], true)
  checkNameMapping(context, [...mappings, 'groups'], false)
  checkUid(context, [...mappings, 'uid'])
  checkExtra(context, [...mappings, 'extra'])
  checkUserRules(context, [...path, 'userValidationRules'])
  checkEmail(context, path)
}

function checkDiscoveryUrl({ raw, report }: Context, path: Path): void {
  const url = valueAt(raw, [...path, 'url'])
  const discoveryUrl = valueAt(raw, [...path, 'discoveryURL'])
  if (typeof url !== 'string' || typeof discoveryUrl !== 'string') return
  if (withoutSlashes(url) !== withoutSlashes(discoveryUrl)) return
  const fix = 'remove discoveryURL, or write the URL of the discovery document itself'
  report([...path, 'discoveryURL'], 'is the same as url', fix)
}

function withoutSlashes(url: string): string {
  return url.replace(/\/+$/, '')
}

function checkAudiences(context: Context, path: Path): void {
  const { raw, report } = context
  const audiences = itemsAt(raw, [...path, 'audiences'])
  checkUnique(context, audiences, 'list each audience once')
  const policy: Path = [...path, 'audienceMatchPolicy']
  if (audiences.length > 1 && valueAt(raw, policy) === undefined) {
    report(policy, 'is required if there is more than one audience', 'write MatchAny')
  }
}

function checkClaimRules(context: Context, path: Path): void {
  const rules = itemsAt(context.raw, path)
  for (const rule of rules) checkClaimRule(context, rule)
  const at = (field: string): Path[] => rules.map((rule) => [...rule, field])
  checkUnique(context, at('claim'), 'write one rule per claim')
  checkUnique(context, at('expression'), 'write each rule once')
}

function checkClaimRule(context: Context, rule: Path): void {
  const { report, expressions } = context
  const claim = has(context, rule, 'claim')
  if (!has(context, rule, 'expression')) {
    if (!claim) report(rule, 'has neither claim nor expression', 'write one of them')
    else if (has(context, rule, 'message')) {
      report([...rule, 'message'], 'applies only to an expression', 'remove it')
    }
    return
  }
  if (claim) {
    report(rule, 'has claim and expression', 'write only one of them')
    return
  }
  if (has(context, rule, 'requiredValue') && textAt(context, rule, 'requiredValue') !== '') {
    report([...rule, 'requiredValue'], 'applies only to a claim', 'remove it')
  }
  expressions.read('claims', [...rule, 'expression'], { isCondition: true })
}

function checkNameMapping(context: Context, path: Path, isRequired: boolean): void {
  const { raw, report, expressions } = context
  if (valueAt(raw, path) === undefined) return
  const claim = has(context, path, 'claim')
  const prefix = has(context, path, 'prefix')
  if (!has(context, path, 'expression')) {
    if (claim && !prefix) {
      const fix = 'write a prefix, or "" for none'
      report([...path, 'prefix'], 'is required if claim is set', fix)
    }
    if (!claim && isRequired) {
      report(path, 'has neither claim nor expression', 'name the claim to read, and a prefix')
    }
    return
  }
  if (claim) {
    report(path, 'has claim and expression', 'write only one of them')
    return
  }
  if (prefix) {
    const fix = 'remove it, and write the prefix in the expression: "oidc:" + claims.sub'
    report([...path, 'prefix'], 'applies only to a claim', fix)
  }
  expressions.read('claims', [...path, 'expression'])
}

function checkUid(context: Context, path: Path): void {
  if (!has(context, path, 'expression')) return
  if (has(context, path, 'claim')) {
    context.report(path, 'has claim and expression', 'write only one of them')
    return
  }
  context.expressions.read('claims', [...path, 'expression'])
}

function checkExtra(context: Context, path: Path): void {
  const { raw, report, expressions } = context
  const mappings = itemsAt(raw, path)
  for (const mapping of mappings) {
    const problem = extraKeyProblem(textAt(context, mapping, 'key') ?? '')
    if (problem !== undefined) {
      report([...mapping, 'key'], problem, 'write a key with your own domain: example.com/team')
    }
    const value: Path = [...mapping, 'valueExpression']
    if (has(context, mapping, 'valueExpression')) expressions.read('claims', value)
    else report(value, 'is required', 'write a CEL expression over claims')
  }
  checkUnique(
    context,
    mappings.map((mapping) => [...mapping, 'key']),
    'write one expression per key',
  )
}

function checkUserRules(context: Context, path: Path): void {
  const rules = itemsAt(context.raw, path).map((rule): Path => [...rule, 'expression'])
  for (const rule of rules) {
    if (valueAt(context.raw, rule) === undefined) {
      context.report(rule, 'is required', 'write a CEL expression over user that must be true')
    } else context.expressions.read('user', rule, { isCondition: true })
  }
  checkUnique(context, rules, 'write each rule once')
}

/**
 * With `claims.email` in the expression for user names, another expression must look at
 * `claims.email_verified`: otherwise anybody could sign in with the address of somebody else, where the
 * issuer lets users enter any.
 */
function checkEmail({ raw, report, expressions }: Context, path: Path): void {
  const username: Path = [...path, 'claimMappings', 'username', 'expression']
  const expression = expressions.at(username)
  if (expression === undefined || !usesClaim(expression.syntax, 'email')) return
  const others = [
    ...itemsAt(raw, [...path, 'claimMappings', 'extra']).map((at) => [...at, 'valueExpression']),
    ...itemsAt(raw, [...path, 'claimValidationRules']).map((at) => [...at, 'expression']),
  ]
  const isVerified = [username, ...others].some((at) => {
    const other = expressions.at(at)
    return other !== undefined && usesClaim(other.syntax, 'email_verified')
  })
  if (isVerified) return
  report(
    username,
    'uses claims.email, and neither it, claimMappings.extra nor claimValidationRules use claims.email_verified',
    'add the rule claims.?email_verified.orValue(true) == true to claimValidationRules, or true in place of orValue(true) if the issuer always sends it',
  )
}

/** The paths of the items of a list; empty for anything but a list. */
function itemsAt(raw: unknown, path: Path): Path[] {
  const list = valueAt(raw, path)
  return Array.isArray(list) ? list.map((_, index): Path => [...path, index]) : []
}

function has({ raw }: Context, path: Path, field: string): boolean {
  return valueAt(raw, [...path, field]) !== undefined
}

function textAt({ raw }: Context, path: Path, field: string): string | undefined {
  const value = valueAt(raw, [...path, field])
  return typeof value === 'string' ? value : undefined
}

/** Reports each value that is equal to one at an earlier path. */
function checkUnique({ raw, report }: Context, paths: readonly Path[], fix: string): void {
  const seen = new Set<string>()
  for (const path of paths) {
    const value = valueAt(raw, path)
    if (typeof value !== 'string') continue
    if (seen.has(value)) report(path, `${JSON.stringify(value)} is listed twice`, fix)
    seen.add(value)
  }
}
