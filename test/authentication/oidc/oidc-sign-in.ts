import type { Authentication } from '../../../src/authentication/authenticator.ts'
import type { AuthenticationConfiguration } from '../../../src/authentication/oidc/authentication-config.ts'
import {
  createOidcSignIn,
  type OidcOptions,
  type OidcSignIn,
} from '../../../src/authentication/oidc/oidc.ts'
import { createLog, type Log } from '../../../src/log.ts'
import { createMetrics, type Metrics } from '../../../src/metrics.ts'

/** The sign-in by ID tokens; `authenticate` takes the bare token. */
export interface TestOidc extends Omit<OidcSignIn, 'authenticate'> {
  authenticate(token: string): Authentication | Promise<Authentication>
}

export interface TestOidcOptions extends Partial<OidcOptions> {
  readonly log?: Log
  readonly metrics?: Metrics
  readonly onRevoked?: () => void
}

/** Makes the sign-in and puts a configuration into effect. */
export function startOidc(
  configuration: AuthenticationConfiguration,
  {
    log = createLog({ level: 'silent' }),
    metrics = createMetrics({ processMetrics: false }),
    onRevoked = () => undefined,
    proxyFor = () => undefined,
    ...options
  }: TestOidcOptions,
): TestOidc {
  const oidc = createOidcSignIn({ ...options, proxyFor }, { log, metrics, onRevoked })
  oidc.update(configuration)
  return {
    ...oidc,
    authenticate(token) {
      const result = oidc.authenticate({ kind: 'token', token })
      if (result === undefined) throw new Error('a token is of no form that OIDC takes')
      return result
    },
  }
}
