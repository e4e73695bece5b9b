import * as openid from 'openid-client'

import { ClientFailure, printable } from '../failure.ts'
import type { Session } from '../session/session.ts'
import { issuerFailure } from './issuer-failure.ts'
import { scopesFor } from './issuer.ts'
import { SIGN_IN_TIMEOUT_MS, type SignInRequest } from './sign-in-request.ts'
import { newBoundKey, sessionFrom } from './tokens.ts'

/**
 * Signs in with a code that the user enters on another device (RFC 8628).
 *
 * @throws ClientFailure
 */
export async function signInWithDevice(
  configuration: openid.Configuration,
  { method, terminal, maxAge, certificate }: SignInRequest,
): Promise<Session> {
  try {
    if (configuration.serverMetadata().device_authorization_endpoint === undefined) {
      throw new ClientFailure('signInFailed', `${method.issuer} has no device authorization`)
    }
    const key = certificate === undefined ? await newBoundKey(configuration) : undefined
    const scopes = scopesFor(configuration, method)
    // RFC 8628 has no PKCE, but some issuers (Keycloak) require it of a client in every flow.
    const verifier = openid.randomPKCECodeVerifier()
    const parameters = {
      ...method.extraParameters,
      ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
      scope: scopes.join(' '),
      code_challenge: await openid.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }
    const started = await openid.initiateDeviceAuthorization(configuration, parameters)
    terminal.print(
      'Open this address on a device with a browser, and enter the code. Never enter a code that ' +
        'somebody sent to you.\n\n' +
        `  ${printable(started.verification_uri)}\n  ${printable(started.user_code)}\n`,
    )
    const response = await openid.pollDeviceAuthorizationGrant(
      configuration,
      started,
      { code_verifier: verifier },
      {
        signal: AbortSignal.timeout(Math.min(started.expires_in * 1_000, SIGN_IN_TIMEOUT_MS)),
        ...(key === undefined ? {} : { DPoP: key.handle }),
      },
    )
    return sessionFrom(response, {
      ...{ issuer: { ...method, certificate }, scopes, key, now: Date.now() },
    })
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code === 'OAUTH_TIMEOUT' || code === 'OAUTH_ABORT') {
      throw new ClientFailure('signInFailed', 'the code was not entered in time: try again')
    }
    throw issuerFailure(method.issuer, error)
  }
}
