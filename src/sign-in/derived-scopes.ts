import type { Issuer } from '../authentication/oidc/authentication-config.ts'
import { issuerClaims } from '../authentication/oidc/issuer-claims.ts'

/** OpenID Connect Core section 5.4: which scope gives which claims; `groups` is a common addition. */
const SCOPES_OF_CLAIMS: Readonly<Record<string, string>> = {
  email: 'email',
  groups: 'groups',
  name: 'profile',
  preferred_username: 'profile',
}

/** The scopes that the claim mappings of an issuer need, besides `openid`. */
export function derivedScopes(issuer: Issuer): readonly string[] {
  const scopes = issuerClaims(issuer).flatMap((claim) =>
    Object.hasOwn(SCOPES_OF_CLAIMS, claim) ? (SCOPES_OF_CLAIMS[claim] ?? []) : [],
  )
  return [...new Set(scopes)]
}
