import type { UserInfo } from '../authentication/authenticator.ts'
import type { RequestInfo } from '../request/types.ts'
import { StatusError } from '../status.ts'

/** apiserver `authorizer.Attributes`: what is asked, and by whom. */
export interface Attributes {
  readonly user: UserInfo
  readonly info: RequestInfo
}

/** A rule in `mode: shadow` that would have decided otherwise; audited and counted, never enforced. */
export interface ShadowDecision {
  readonly rule: string
  readonly effect: 'allow' | 'deny'
}

/** apiserver's Decision, with the rule that made it. */
export interface Decision {
  readonly decision: 'allow' | 'deny' | 'noOpinion'
  /** Name of the rule; `''` when the file's default decided. */
  readonly rule: string
  /** For the audit record and, on deny, for the client. */
  readonly reason: string
  readonly shadow: readonly ShadowDecision[]
}

export type Authorizer = (attributes: Attributes) => Decision | Promise<Decision>

declare const authorizedBrand: unique symbol

/** Attributes that `admit` let through; upstream takes nothing else, so that no stage can be left out. */
export interface Authorized extends Attributes {
  readonly decision: Decision
  readonly [authorizedBrand]: true
}

/**
 * Asks the authorizer and turns anything but `allow` into a refusal. Answers without a promise when
 * the authorizer does.
 *
 * @throws StatusError 403 with kube-apiserver's wording and the rule's own message behind it
 */
export function admit(
  attributes: Attributes,
  authorizer: Authorizer,
  onDecision: (decision: Decision) => void,
): Authorized | Promise<Authorized> {
  const conclude = (decision: Decision): Authorized => {
    onDecision(decision)
    if (decision.decision !== 'allow') throw forbidden(attributes, decision.reason)
    return { user: attributes.user, info: attributes.info, decision } as Authorized
  }
  const answer = authorizer(attributes)
  return answer instanceof Promise ? answer.then(conclude) : conclude(answer)
}

/** 403 in the words of kube-apiserver (apiserver/pkg/endpoints/handlers/responsewriters/errors.go). */
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
