import { readDocument } from '../../config/document.ts'
import { ConfigError } from '../../config/problem.ts'
import { fieldName, type Path } from '../../config/path.ts'
import { createGroupFilter, type GroupFilter } from '../group-filter.ts'
import { checkAcrossFields } from './authentication-checks.ts'
import type { Expressions } from './authentication-expressions.ts'
import {
  authenticationConfigurationSchema,
  withoutAbsent,
  type AuthenticationConfigurationFile,
} from './authentication-schema.ts'
import {
  checkNames,
  checkServiceAccountIssuers,
  type IssuerOptions,
} from './authentication-names.ts'
import { checkAuthorities, loadAccess, type IssuerAccess } from './issuer-access.ts'
import type { ClaimMappings, NameSource, Source } from './claim-mappings.ts'
import type { ValidationRules } from './claim-rules.ts'
import { prefixOfNames } from './expression-prefix.ts'
import type { Expression } from './expressions.ts'

/** The issuers whose tokens are accepted, and how their claims map to Kubernetes users. */
export interface AuthenticationConfiguration {
  readonly issuers: readonly Issuer[]
}

export interface Issuer {
  /** The value that `iss` must have, compared byte for byte. */
  readonly url: string
  /**
   * URL of the discovery document; undefined: the well-known path below the issuer's URL (OpenID
   * Connect Discovery 1.0).
   */
  readonly discoveryUrl: string | undefined
  /** PEM; undefined: the certificate authorities that Node trusts. */
  readonly certificateAuthority: string | undefined
  /** How its keys are had; absent: they are fetched, as the environment says. */
  readonly access?: IssuerAccess
  /** `aud` must contain one of them. */
  readonly audiences: readonly string[]
  readonly rules: ValidationRules
  readonly claimMappings: ClaimMappings
  /** Which groups of its users are asserted; absent: all of them. */
  readonly filterGroups?: GroupFilter
  /** Whether its users may have the names of users of another source. */
  readonly sharesNames: boolean
}

/**
 * Reads a Kubernetes `AuthenticationConfiguration` (apiserver.config.k8s.io/v1 and v1beta1) as
 * strictly as kube-apiserver does.
 *
 * @param options undefined when gatehouse.yaml is not valid: they are not checked then
 * @throws ConfigError with every problem found
 */
export function loadAuthenticationConfiguration(
  file: string,
  options?: IssuerOptions,
): AuthenticationConfiguration {
  const reading = readDocument(file, authenticationConfigurationSchema)
  const present = { ...reading, raw: withoutAbsent(reading.raw) }
  const { problems: across, expressions } = checkAcrossFields(present)
  const problems = [
    ...reading.problems,
    ...across,
    ...(options === undefined
      ? []
      : [
          ...checkNames(present, expressions, options),
          ...checkServiceAccountIssuers(present, options),
          ...checkAuthorities(present, options.issuers),
        ]),
  ]
  const access = loadAccess(options?.issuers ?? [], problems)
  if (reading.value === undefined || problems.length > 0) throw new ConfigError(problems)
  return {
    issuers: reading.value.jwt.map((jwt, i) => {
      const { url } = jwt.issuer
      const own = options?.issuers.find((one) => one.url === url)
      return toIssuer(jwt, expressionsAt(expressions, ['jwt', i]), own, access.get(url))
    }),
  }
}

type Jwt = AuthenticationConfigurationFile['jwt'][number]
type OwnOptions = IssuerOptions['issuers'][number] | undefined
/** The expression at a path below an issuer. */
type ExpressionAt = (...path: Path) => Expression

function expressionsAt(expressions: Expressions, issuer: Path): ExpressionAt {
  return (...path) => {
    const field = fieldName([...issuer, ...path])
    const expression = expressions.get(field)
    if (expression === undefined) throw new TypeError(`${field} is not compiled`)
    return expression
  }
}

function toIssuer(
  jwt: Jwt,
  at: ExpressionAt,
  own: OwnOptions,
  access: IssuerAccess | undefined,
): Issuer {
  const { issuer } = jwt
  return {
    ...(access === undefined ? {} : { access }),
    ...(own?.allowedGroups === undefined
      ? {}
      : { filterGroups: createGroupFilter(own.allowedGroups) }),
    url: issuer.url,
    sharesNames: own?.sharesNames === true,
    discoveryUrl: issuer.discoveryURL,
    certificateAuthority: access?.certificateAuthority ?? issuer.certificateAuthority,
    audiences: issuer.audiences,
    rules: toRules(jwt, at),
    claimMappings: toMappings(jwt.claimMappings, at, own),
  }
}

function toRules(
  { claimValidationRules, userValidationRules }: Jwt,
  at: ExpressionAt,
): ValidationRules {
  return {
    requiredClaims: claimValidationRules.flatMap(({ claim, requiredValue = '' }) =>
      claim === undefined ? [] : [{ claim, requiredValue }],
    ),
    claimRules: claimValidationRules.flatMap(({ claim, message = '' }, i) =>
      claim === undefined
        ? [{ expression: at('claimValidationRules', i, 'expression'), message }]
        : [],
    ),
    userRules: userValidationRules.map(({ message = '' }, i) => ({
      expression: at('userValidationRules', i, 'expression'),
      message,
    })),
  }
}

function toMappings(
  { username, groups, uid, extra }: Jwt['claimMappings'],
  at: ExpressionAt,
  own: OwnOptions,
): ClaimMappings {
  const groupNames = toNames('groups', groups ?? {}, at)
  return {
    username: toNames('username', username, at) ?? { claim: '', prefix: '' },
    groups: groupNames && {
      ...groupNames,
      isRequired: own?.missingGroups === 'refuse' && own.groupSource === undefined,
      ...(own?.groupSource === undefined ? {} : { isLookedUp: true }),
    },
    uid: toSource('uid', uid ?? {}, at),
    extra: extra.map(({ key = '' }, i) => ({
      key,
      expression: at('claimMappings', 'extra', i, 'valueExpression'),
    })),
  }
}

function toNames(
  field: 'username' | 'groups',
  mapping: Jwt['claimMappings']['username'],
  at: ExpressionAt,
): NameSource | undefined {
  const source = toSource(field, mapping, at)
  if (source === undefined) return undefined
  return 'expression' in source
    ? { ...source, prefix: prefixOfNames(source.expression.syntax) }
    : { ...source, prefix: mapping.prefix ?? '' }
}

function toSource(
  field: string,
  {
    claim,
    expression,
  }: { readonly claim?: string | undefined; readonly expression?: string | undefined },
  at: ExpressionAt,
): Source | undefined {
  if (claim !== undefined) return { claim }
  return expression === undefined
    ? undefined
    : { expression: at('claimMappings', field, 'expression') }
}
