import type { UserInfo } from '../authentication/authenticator.ts'
import type { RequestInfo } from '../request/types.ts'
import { StatusError } from '../status.ts'

/** What an authorizer decides on: who requests what (apiserver `authorizer.Attributes`). */
export interface Attributes {
  readonly user: UserInfo
  readonly info: RequestInfo
  /** Who acts as `user` (`kubectl --as`); undefined for users who act as themselves. */
  readonly impersonator?: UserInfo
}

/** A rule in `mode: shadow` that would have changed the decision; audited and counted, never enforced. */
export interface ShadowDecision {
  readonly rule: string
  readonly effect: 'allow' | 'deny'
}

/** apiserver `authorizer.Decision`, with the rule that made it. */
export interface Decision {
  /**
   * `noOpinion` leaves the decision to the next authorizer (apiserver `DecisionNoOpinion`); with none
   * left, the request is refused.
   */
  readonly decision: 'allow' | 'deny' | 'noOpinion'
  /** Name of the rule; `''` when no rule decided. */
  readonly rule: string
  /** For the audit record and, unless the request is allowed, for the client. */
  readonly reason: string
  readonly shadow: readonly ShadowDecision[]
  /** What an authorizer threw; set only on the deny that follows from it. */
  readonly error?: Error
}

/** Returns a promise only when it has to wait. */
export type Authorizer = (attributes: Attributes) => Decision | Promise<Decision>

declare const authorizedBrand: unique symbol

/**
 * All attributes of a request that `admit` allowed, with the decision. Upstream accepts nothing
 * else, so a pipeline without authorization does not compile.
 */
export interface Authorized extends Attributes {
  readonly decision: Decision
  readonly [authorizedBrand]: true
}

/**
 * Asks the authorizer and turns every decision but `allow` into a refusal. Returns a promise only
 * when the authorizer does.
 *
 * @param onDecision called with every decision, refusals included, before anything is thrown
 * @throws StatusError 403 with kube-apiserver's wording and the reason of the decision
 * @throws Error the error of a decision that has one: as in kube-apiserver, a failed authorizer is an
 * internal error and not a 403 (apiserver/pkg/endpoints/filters/authorization.go)
 */
export function admit(
  attributes: Attributes,
  authorizer: Authorizer,
  onDecision: (decision: Decision) => void,
): Authorized | Promise<Authorized> {
  const conclude = (decision: Decision): Authorized => {
    onDecision(decision)
    if (decision.decision !== 'allow') {
      throw decision.error ?? forbidden(attributes, decision.reason)
    }
    return { ...attributes, decision } as Authorized
  }
  const decision = authorizer(attributes)
  return decision instanceof Promise ? decision.then(conclude) : conclude(decision)
}

/** A 403 in kube-apiserver's words (apiserver/pkg/endpoints/handlers/responsewriters/errors.go). */
export function forbidden({ user, info }: Attributes, reason: string): StatusError {
  const because = reason === '' ? '' : `: ${reason}`
  const who = `User ${JSON.stringify(user.username)}`
  if (!info.isResourceRequest) {
    return new StatusError(
      'Forbidden',
      `forbidden: ${who} cannot ${info.verb} path ${JSON.stringify(info.path)}${because}`,
      { details: {} },
    )
  }
  const resource = info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`
  const what = info.apiGroup === '' ? info.resource : `${info.resource}.${info.apiGroup}`
  const subject = info.name === '' ? what : `${what} ${JSON.stringify(info.name)}`
  const where =
    info.namespace === ''
      ? 'at the cluster scope'
      : `in the namespace ${JSON.stringify(info.namespace)}`
  return new StatusError(
    'Forbidden',
    `${subject} is forbidden: ${who} cannot ${info.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(info.apiGroup)} ${where}${because}`,
    {
      details: {
        ...(info.name === '' ? {} : { name: info.name }),
        ...(info.apiGroup === '' ? {} : { group: info.apiGroup }),
        kind: info.resource,
      },
    },
  )
}
