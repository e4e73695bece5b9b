/**
 * All authentication methods as one: exactly one credential, judged by exactly one method. A certificate
 * beside a token is not a second credential if the token is bound to it (RFC 8705).
 */
import type { PeerCertificate } from '../http/exchange.ts'
import { StatusError } from '../status.ts'
import type { Authentication, Authenticator, Credentials, UserInfo } from './authenticator.ts'
import { bearerToken, unauthorized } from './bearer.ts'
import { guardIdentity, rejected, type GuardOptions } from './identity-guard.ts'
import type { Credential, SignIn } from './sign-in.ts'

export interface SignInUnionOptions extends GuardOptions {
  /** Asked in this order. */
  readonly signIns: readonly SignIn[]
}

export interface SignInUnionEffects {
  /** `method` is `none` for a credential that no method accepts. */
  readonly onResult: (method: string, result: 'ok' | 'refused' | 'failed') => void
  /**
   * Checks a certificate that a token is bound to as if it were the credential.
   *
   * @throws StatusError 401 when it is not accepted
   */
  readonly checkCertificate: (certificate: PeerCertificate) => void
  /** A user was accepted without these groups, whose names cannot be sent to the API server. */
  readonly onGroupsDropped: (user: UserInfo, groups: readonly string[]) => void
}

/** The cause of the refusal of a valid token that came with a certificate that it is not bound to. */
export class TwoCredentials extends Error {}

/** The `method` of the metric for a credential that no method accepts. */
const NO_METHOD = 'none'

/**
 * Creates the union. kube-apiserver asks one authenticator after the other; here a request with two
 * credentials is refused, since the order of the authenticators would decide whose request it is,
 * and users do not see that order. A kubeconfig has one credential.
 */
export function createSignInUnion(
  options: SignInUnionOptions,
  { onResult, onGroupsDropped, checkCertificate }: SignInUnionEffects,
): Authenticator {
  const { signIns } = options
  // Methods return the same object for the same credential, so each is guarded once. The key is not
  // its user: two methods may share one, and a recheck asks the method that accepted the credential.
  const guarded = new WeakMap<Authentication, Authentication>()

  function guard(
    authentication: Authentication,
    method: SignIn,
    beside: PeerCertificate | undefined,
  ): Authentication {
    // Not remembered: the same token may come over another connection.
    checkBinding(authentication, beside, checkCertificate)
    // Not remembered either, since a reload may change what the other methods reserve.
    for (const other of method.namesAnyone === true ? [] : signIns) {
      const problem = other === method ? undefined : other.reserves(authentication.user)
      if (problem !== undefined) throw rejected(problem)
    }
    let result = guarded.get(authentication)
    if (result === undefined) {
      const own = method.systemIdentities?.(authentication.user)
      const user = guardIdentity(
        authentication.user,
        own === undefined ? options : { ...options, systemIdentities: own },
      )
      const dropped = droppedGroups(authentication.user, user)
      if (dropped.length > 0) onGroupsDropped(user, dropped)
      result = { ...authentication, user }
      guarded.set(authentication, result)
    }
    onResult(authentication.method, 'ok')
    return result
  }

  function refuse({ method }: SignIn, error: unknown): never {
    // Without a verdict on the credential: it may be a good one.
    const hasVerdict = error instanceof StatusError && error.code < 500
    onResult(method, hasVerdict ? 'refused' : 'failed')
    throw error
  }

  /** @param beside a certificate that comes with a token */
  function judge(
    credential: Credential,
    beside?: PeerCertificate,
  ): Authentication | Promise<Authentication> {
    for (const signIn of signIns) {
      try {
        const result = signIn.authenticate(credential)
        if (result === undefined) continue
        if (!(result instanceof Promise)) return guard(result, signIn, beside)
        return result
          .then((authentication) => guard(authentication, signIn, beside))
          .catch((error: unknown) => refuse(signIn, error))
      } catch (error) {
        return refuse(signIn, error)
      }
    }
    onResult(NO_METHOD, 'refused')
    throw unauthorized(
      credential.kind === 'certificate'
        ? 'client certificates are not accepted'
        : 'tokens are not accepted',
    )
  }

  return (credentials) => {
    const token = tokenOf(credentials)
    const { connection, rawHeaders } = credentials
    const { peerCertificate } = connection
    if (token !== undefined) return judge({ kind: 'token', token }, peerCertificate)
    if (peerCertificate === undefined) return undefined
    return judge({ kind: 'certificate', certificate: peerCertificate, connection, rawHeaders })
  }
}

/** What the guard dropped, without what is not asserted for another reason. */
function droppedGroups(before: UserInfo, { unassertedGroups = [] }: UserInfo): readonly string[] {
  if (unassertedGroups === 'unknown') return []
  return unassertedGroups.filter((group) => !(before.unassertedGroups ?? []).includes(group))
}

/**
 * Checks that a token comes with the certificate that it is bound to, and that no other token comes with
 * one.
 *
 * @throws StatusError 401 when it does not
 */
function checkBinding(
  { boundTo }: Authentication,
  beside: PeerCertificate | undefined,
  checkCertificate: SignInUnionEffects['checkCertificate'],
): void {
  if (boundTo === undefined) {
    if (beside === undefined) return
    throw new StatusError(
      'Unauthorized',
      'Unauthorized: the request carries a client certificate and a token; send only one of them',
      { cause: new TwoCredentials('two credentials: a client certificate and a token') },
    )
  }
  if (beside === undefined) {
    throw unauthorized(
      'the token is bound to a client certificate (cnf), which did not come with it',
    )
  }
  if (beside.sha256 !== boundTo) {
    throw unauthorized('the token is bound to another client certificate (cnf.x5t#S256)')
  }
  checkCertificate(beside)
}

function tokenOf({ authorization, webSocketToken }: Credentials): string | undefined {
  const bearer = bearerToken(authorization)
  if (bearer !== undefined && webSocketToken !== undefined) {
    throw unauthorized('two credentials: a token in Authorization, another in the subprotocols')
  }
  return bearer ?? webSocketToken
}
