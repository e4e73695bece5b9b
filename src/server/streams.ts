/** The forwarded requests of the moment, so that a shutdown or a new rule can tell them to end. */
import { forbidden, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import type { StatusError } from '../status.ts'

export interface LiveStream {
  readonly attributes: Attributes
  readonly cut: (reason: StatusError) => void
}

export interface LiveStreams {
  /** Returns the way to take it out again. */
  add(stream: LiveStream): () => void
  readonly size: number
  cutAll(reason: StatusError): void
  /** Ends those that the authorizer no longer allows; returns how many. */
  recheck(authorize: Authorizer): number
}

export function createLiveStreams(): LiveStreams {
  const live = new Set<LiveStream>()
  return {
    add(stream) {
      live.add(stream)
      return () => live.delete(stream)
    },
    get size() {
      return live.size
    },
    cutAll(reason) {
      for (const { cut } of live) cut(reason)
    },
    recheck(authorize) {
      let ended = 0
      for (const { attributes, cut } of live) {
        const decision = authorize(attributes)
        // An authorizer that has to ask somebody is not one of rules; its answers expire by themselves.
        if (decision instanceof Promise || decision.decision === 'allow') continue
        cut(forbidden(attributes, decision.reason))
        ended += 1
      }
      return ended
    },
  }
}
