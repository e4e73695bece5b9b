import { readDocument } from '../../config/document.ts'
import { ConfigError } from '../../config/problem.ts'
import { checkAcrossFields } from './authentication-checks.ts'
import {
  authenticationConfigurationSchema,
  type AuthenticationConfigurationFile,
} from './authentication-schema.ts'
import type { ClaimMappings, RequiredClaim } from './claim-mappings.ts'

/** Whose tokens are believed, and how their claims become Kubernetes users. */
export interface AuthenticationConfiguration {
  readonly issuers: readonly Issuer[]
}

export interface Issuer {
  /** What `iss` must say, byte for byte. */
  readonly url: string
  /** Where the discovery document is; undefined: under the URL, as OpenID Connect says. */
  readonly discoveryUrl: string | undefined
  /** PEM; undefined: the certificate authorities that Node trusts. */
  readonly certificateAuthority: string | undefined
  readonly audiences: readonly string[]
  readonly requiredClaims: readonly RequiredClaim[]
  readonly claimMappings: ClaimMappings
}

/**
 * Reads Kubernetes' `AuthenticationConfiguration` (apiserver.config.k8s.io/v1 and v1beta1) as
 * strictly as kube-apiserver does. What needs CEL is refused.
 *
 * @throws ConfigError with every problem found
 */
export function loadAuthenticationConfiguration(file: string): AuthenticationConfiguration {
  const reading = readDocument(file, authenticationConfigurationSchema)
  const problems = [...reading.problems, ...checkAcrossFields(reading)]
  if (reading.value === undefined || problems.length > 0) throw new ConfigError(problems)
  return { issuers: reading.value.jwt.map(toIssuer) }
}

type Jwt = AuthenticationConfigurationFile['jwt'][number]

function toIssuer({ issuer, claimValidationRules, claimMappings }: Jwt): Issuer {
  const { username, groups, uid } = claimMappings
  return {
    url: issuer.url,
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
          : { claim: groups.claim, prefix: groups.prefix ?? '' },
      uidClaim: uid?.claim,
    },
  }
}
