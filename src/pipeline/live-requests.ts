/** The forwarded requests of the moment, so that a shutdown or a reload can tell them to end. */
import type { Authentication } from '../authentication/authenticator.ts'
import { unauthorized } from '../authentication/bearer.ts'
import { forbidden, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import type { ClientConnection } from '../http/exchange.ts'
import type { StatusError } from '../status.ts'

export interface LiveRequest {
  readonly attributes: Attributes
  readonly authentication: Authentication
  readonly connection: ClientConnection
  readonly cut: (reason: StatusError) => void
}

/** Says why a sign-in is no longer accepted; undefined when it is, or is none of its business. */
export type Review = (stream: LiveRequest) => string | undefined

export interface LiveRequests {
  /**
   * Returns the way to take it out again, which tells why it was told to end, if it was, in words
   * for the audit record.
   */
  add(stream: LiveRequest): () => string | undefined
  readonly size: number
  cutAll(reason: StatusError): void
  /** Ends those that the authorizer no longer allows; returns how many. */
  recheck(authorize: Authorizer): number
  /** Ends those whose sign-in is no longer accepted; returns how many. */
  review(review: Review): number
}

interface Entry {
  readonly stream: LiveRequest
  /** Place in the list; -1: taken out. */
  at: number
  /** Why it was told to end. */
  why: string | undefined
}

/**
 * A list from which entries are taken by putting the last one in their place. A `Set` or `Map` with
 * this much coming and going would cost a quarter of all CPU: each table that V8 outgrows points to
 * the next one, so that one dead table in the old generation keeps every later one, with all the
 * requests of its time, from being collected by the scavenger.
 */
export function createLiveRequests(): LiveRequests {
  const live: Entry[] = []

  function takeOut(entry: Entry): void {
    const { at } = entry
    if (at === -1) return
    entry.at = -1
    const last = live.pop()
    if (last === undefined || last === entry) return
    live[at] = last
    last.at = at
  }

  function end(entry: Entry, reason: StatusError, why: string): void {
    // What comes first is the reason; a stream that is slow to end may be told again.
    if (entry.at === -1) return
    entry.why ??= why
    entry.stream.cut(reason)
  }

  return {
    add(stream) {
      const entry: Entry = { stream, at: live.length, why: undefined }
      live.push(entry)
      return () => {
        takeOut(entry)
        return entry.why
      }
    },
    get size() {
      return live.length
    },
    // Each over a copy: a stream that ends at once leaves the list.
    cutAll(reason) {
      for (const entry of live.slice()) end(entry, reason, reason.message)
    },
    recheck(authorize) {
      let ended = 0
      for (const entry of live.slice()) {
        const { attributes } = entry.stream
        const decision = authorize(attributes)
        // An authorizer that has to ask somebody is not one of rules; its answers expire by themselves.
        if (decision instanceof Promise || decision.decision === 'allow') continue
        const { rule, reason } = decision
        const by = rule === '' ? 'the default' : `the rule ${JSON.stringify(rule)}`
        end(entry, forbidden(attributes, reason), `new rules: no longer allowed, by ${by}`)
        ended += 1
      }
      return ended
    },
    review(review) {
      let ended = 0
      for (const entry of live.slice()) {
        const why = review(entry.stream)
        if (why === undefined) continue
        const because = `the sign-in is no longer accepted: ${why}`
        end(entry, unauthorized(because), because)
        ended += 1
      }
      return ended
    },
  }
}
