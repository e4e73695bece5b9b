/** The forwarded requests of the moment, so that a shutdown or a reload can tell them to end. */
import type { Authentication } from '../authentication/authenticator.ts'
import { unauthorized } from '../authentication/bearer.ts'
import { forbidden, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import type { ClientConnection } from '../http/exchange.ts'
import type { StatusError } from '../status.ts'

export interface LiveStream {
  readonly attributes: Attributes
  readonly authentication: Authentication
  readonly connection: ClientConnection
  readonly cut: (reason: StatusError) => void
}

/** Says why a sign-in is no longer accepted; undefined when it is, or is none of its business. */
export type Review = (stream: LiveStream) => string | undefined

export interface LiveStreams {
  /**
   * Returns the way to take it out again, which tells why it was told to end, if it was, in words
   * for the audit record.
   */
  add(stream: LiveStream): () => string | undefined
  readonly size: number
  cutAll(reason: StatusError): void
  /** Ends those that the authorizer no longer allows; returns how many. */
  recheck(authorize: Authorizer): number
  /** Ends those whose sign-in is no longer accepted; returns how many. */
  review(review: Review): number
}

export function createLiveStreams(): LiveStreams {
  /** With why each was told to end. */
  const live = new Map<LiveStream, string | undefined>()

  function end(stream: LiveStream, reason: StatusError, why: string): void {
    // What comes first is the reason; a stream that is slow to end may be told again.
    live.set(stream, live.get(stream) ?? why)
    stream.cut(reason)
  }

  return {
    add(stream) {
      live.set(stream, undefined)
      return () => {
        const why = live.get(stream)
        live.delete(stream)
        return why
      }
    },
    get size() {
      return live.size
    },
    cutAll(reason) {
      for (const stream of live.keys()) end(stream, reason, reason.message)
    },
    recheck(authorize) {
      let ended = 0
      for (const stream of live.keys()) {
        const { attributes } = stream
        const decision = authorize(attributes)
        // An authorizer that has to ask somebody is not one of rules; its answers expire by themselves.
        if (decision instanceof Promise || decision.decision === 'allow') continue
        const { rule, reason } = decision
        const by = rule === '' ? 'the default' : `the rule ${JSON.stringify(rule)}`
        end(stream, forbidden(attributes, reason), `new rules: no longer allowed, by ${by}`)
        ended += 1
      }
      return ended
    },
    review(review) {
      let ended = 0
      for (const stream of live.keys()) {
        const why = review(stream)
        if (why === undefined) continue
        const because = `the sign-in is no longer accepted: ${why}`
        end(stream, unauthorized(because), because)
        ended += 1
      }
      return ended
    },
  }
}
