import { readDocument } from '../../config/document.ts'
import { ConfigError } from '../../config/problem.ts'
import { checkAcrossFields } from './authentication-checks.ts'
import {
  authenticationConfigurationSchema,
  withoutAbsent,
  type AuthenticationConfigurationFile,
} from './authentication-schema.ts'
import { checkNames, type IssuerOptions } from './authentication-names.ts'
import type { ClaimMappings, RequiredClaim } from './claim-mappings.ts'

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
  /** `aud` must contain one of them. */
  readonly audiences: readonly string[]
  readonly requiredClaims: readonly RequiredClaim[]
  readonly claimMappings: ClaimMappings
  /** Whether its users may have the names of users of another source. */
  readonly sharesNames: boolean
}

/**
 * Reads a Kubernetes `AuthenticationConfiguration` (apiserver.config.k8s.io/v1 and v1beta1) as
 * strictly as kube-apiserver does. Fields that need CEL are refused.
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
  const problems = [
    ...reading.problems,
    ...checkAcrossFields(present),
    ...(options === undefined ? [] : checkNames(present, options)),
  ]
  if (reading.value === undefined || problems.length > 0) throw new ConfigError(problems)
  return { issuers: reading.value.jwt.map((jwt) => toIssuer(jwt, options?.issuers)) }
}

type Jwt = AuthenticationConfigurationFile['jwt'][number]

function toIssuer(
  { issuer, claimValidationRules, claimMappings }: Jwt,
  options: IssuerOptions['issuers'] = [],
): Issuer {
  const { username, groups, uid } = claimMappings
  const own = options.find(({ url }) => url === issuer.url)
  return {
    url: issuer.url,
    sharesNames: own?.sharesNames === true,
    discoveryUrl: issuer.discoveryURL,
    certificateAuthority: issuer.certificateAuthority,
    audiences: issuer.audiences,
    requiredClaims: claimValidationRules.map(({ claim = '', requiredValue = '' }) => ({
      claim,
      requiredValue,
    })),
    claimMappings: {
      username: { claim: username.claim ?? '', prefix: username.prefix ?? '' },
      groups:
        groups?.claim === undefined
          ? undefined
          : {
              claim: groups.claim,
              prefix: groups.prefix ?? '',
              isRequired: own?.missingGroups === 'refuse',
            },
      uidClaim: uid?.claim,
    },
  }
}
