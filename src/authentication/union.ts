/** All authenticators as one: exactly one credential, judged by the authenticator that it is for. */
import { StatusError } from '../status.ts'
import type { Authentication, Authenticator, Credentials, UserInfo } from './authenticator.ts'
import { bearerToken, unauthorized } from './bearer.ts'
import { guardIdentity, type SystemIdentities } from './identity-guard.ts'

export interface UnionOptions {
  /** Undefined: client certificates are no way to sign in. Only asked when there is one. */
  readonly x509: ((credentials: Credentials) => Authentication) | undefined
  /** Undefined: tokens are no way to sign in. Gets the bare token; throws StatusError 401. */
  readonly token: ((token: string) => Authentication | Promise<Authentication>) | undefined
  readonly systemIdentities: SystemIdentities
  readonly onResult: (method: string, result: 'ok' | 'refused') => void
}

/**
 * kube-apiserver asks one authenticator after the other; here a request with two credentials is
 * refused, since whose request it is would depend on an order that nobody sees. A kubeconfig has one.
 */
export function createUnion(options: UnionOptions): Authenticator {
  const { x509, token: verify, systemIdentities, onResult } = options
  // Authenticators give the same object for the same credential, so each is guarded once.
  const guarded = new WeakMap<UserInfo, Authentication>()

  function guard(authentication: Authentication): Authentication {
    let result = guarded.get(authentication.user)
    if (result === undefined) {
      result = { ...authentication, user: guardIdentity(authentication.user, systemIdentities) }
      guarded.set(authentication.user, result)
    }
    onResult(authentication.method, 'ok')
    return result
  }

  function judged(method: string, judge: () => Authentication | Promise<Authentication>) {
    const fail = (error: unknown): never => {
      onResult(method, 'refused')
      throw error
    }
    try {
      const answer = judge()
      return answer instanceof Promise ? answer.then(guard).catch(fail) : guard(answer)
    } catch (error) {
      return fail(error)
    }
  }

  return (credentials) => {
    const token = tokenOf(credentials)
    const { peerCertificate } = credentials.connection
    if (peerCertificate !== undefined && token !== undefined) {
      throw new StatusError(
        'Unauthorized',
        'Unauthorized: the request carries a client certificate and a token; send one of them',
        { cause: new Error('two credentials: a client certificate and a token') },
      )
    }
    if (peerCertificate !== undefined) {
      return judged('x509', () => {
        if (x509 === undefined) throw unauthorized('client certificates are not accepted')
        return x509(credentials)
      })
    }
    if (token === undefined) return undefined
    return judged('oidc', () => {
      if (verify === undefined) throw unauthorized('tokens are not accepted')
      return verify(token)
    })
  }
}

function tokenOf({ authorization, webSocketToken }: Credentials): string | undefined {
  const bearer = bearerToken(authorization)
  if (bearer !== undefined && webSocketToken !== undefined) {
    throw unauthorized('two credentials: a token in Authorization, another in the subprotocols')
  }
  return bearer ?? webSocketToken
}
