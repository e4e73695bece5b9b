import type { Attributes, Authorizer, Decision } from './authorizer.ts'

/** What a union without authorizers decides. */
const NO_AUTHORIZER: Decision = {
  decision: 'noOpinion',
  rule: '',
  reason: 'no authorizer is configured',
  shadow: [],
}

/**
 * Combines authorizers as kube-apiserver does (apiserver/pkg/authorization/union): they are asked in
 * order, the first `allow` or `deny` decides, and `noOpinion` passes the request on to the next. When
 * none of them decides, the result is `noOpinion` with the reasons of all, which `admit` refuses.
 *
 * Unlike in kube-apiserver, an authorizer that throws or rejects decides: the result is a deny with
 * its error, since it might have denied the request.
 *
 * Shadow decisions of all authorizers that were asked are concatenated in that order. Each authorizer
 * compares its shadow rules with its own decision, so a shadow rule that would allow the request is
 * reported even if a later authorizer allows it anyway.
 *
 * The union returns a promise only if an authorizer that was asked did. The decision of the first
 * authorizer, if it decides, is returned as the same object.
 */
export function createAuthorizerUnion(authorizers: readonly Authorizer[]): Authorizer {
  function askFrom(
    position: number,
    attributes: Attributes,
    earlier: Decision | undefined,
  ): Decision | Promise<Decision> {
    const authorizer = authorizers[position]
    if (authorizer === undefined) return earlier ?? NO_AUTHORIZER
    const decision = ask(authorizer, attributes)
    return decision instanceof Promise
      ? decision.then((awaited) => proceed(position, attributes, earlier, awaited))
      : proceed(position, attributes, earlier, decision)
  }

  function proceed(
    position: number,
    attributes: Attributes,
    earlier: Decision | undefined,
    decision: Decision,
  ): Decision | Promise<Decision> {
    const joined = join(earlier, decision)
    return joined.decision === 'noOpinion' ? askFrom(position + 1, attributes, joined) : joined
  }

  return (attributes) => askFrom(0, attributes, undefined)
}

function ask(authorizer: Authorizer, attributes: Attributes): Decision | Promise<Decision> {
  try {
    const decision = authorizer(attributes)
    return decision instanceof Promise ? decision.catch(denyFor) : decision
  } catch (error) {
    return denyFor(error)
  }
}

/** The reason is the one that kube-apiserver audits for a failed authorizer. */
function denyFor(thrown: unknown): Decision {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  return { decision: 'deny', rule: '', reason: 'internal error', shadow: [], error }
}

/** @param earlier without an opinion; undefined when `next` is the first decision */
function join(earlier: Decision | undefined, next: Decision): Decision {
  if (earlier === undefined) return next
  const shadow = earlier.shadow.length === 0 ? next.shadow : [...earlier.shadow, ...next.shadow]
  if (next.decision !== 'noOpinion') return shadow === next.shadow ? next : { ...next, shadow }
  const reason = [earlier.reason, next.reason].filter((part) => part !== '').join('; ')
  return { ...next, reason, shadow }
}
