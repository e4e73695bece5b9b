/** The running requests of authenticated users, so that a shutdown or a reload can end them. */
import type { Authentication } from '../authentication/authenticator.ts'
import { unauthorized } from '../authentication/bearer.ts'
import { forbidden, type Attributes, type Decision } from '../authorization/authorizer.ts'
import type { ClientConnection } from '../http/exchange.ts'
import { StatusError } from '../status.ts'
import { createSwapList, type SwapListEntry } from '../swap-list.ts'
import type { Cluster } from './cluster.ts'

export interface LiveRequest {
  readonly cluster: Pick<Cluster, 'authorize'>
  /** All that the authorizer is given; undefined until it is known. */
  attributes: Attributes | undefined
  /** What the authorizer was asked before about a user who acts as another one. */
  impersonation?: readonly Attributes[]
  readonly authentication: Authentication
  readonly connection: ClientConnection
  /** @param decision the one that no longer allows it, where that is the reason */
  cut(reason: StatusError, decision?: Decision): void
}

/** Why a credential is no longer accepted; undefined when it is, or when another check decides. */
export type SignInRecheck = (request: LiveRequest) => string | undefined

export interface LiveRequests {
  /**
   * Adds a request. The returned function removes it, and returns why it was ended from here, in
   * words for the audit record; undefined when it was not.
   */
  add(request: LiveRequest): () => string | undefined
  readonly size: number
  /** Ends all of them. */
  cutAll(reason: StatusError): void
  /**
   * Authorizes each request again and ends those that are no longer allowed, or whose authorizer
   * fails. Requests whose authorizer returns a promise run on until it settles; a later recheck makes
   * the pending decisions of an earlier one void.
   *
   * @returns how many it ended; a promise only if an authorizer has returned one
   */
  recheckAuthorization(): number | Promise<number>
  /** Ends those for which there is a reason, or whose check fails; returns how many. */
  endWhere(reasonOf: (request: LiveRequest) => StatusError | undefined): number
  /** Ends those whose credential is no longer accepted, or whose check fails; returns how many. */
  recheckSignIn(recheck: SignInRecheck): number
}

interface Entry {
  readonly request: LiveRequest
  /** Why it was ended; the first reason stays. */
  why: string | undefined
}

export interface LiveRequestsEffects {
  /** A request could not be ended, which is a fault in Gatehouse. */
  readonly onCutFailed: (error: Error) => void
}

/** Creates an empty list. */
export function createLiveRequests({ onCutFailed }: LiveRequestsEffects): LiveRequests {
  const live = createSwapList<Entry>()
  let rechecks = 0

  function end(
    entry: SwapListEntry<Entry>,
    reason: StatusError,
    why: string,
    decision?: Decision,
  ): void {
    if (entry.isRemoved) return
    // A request that is slow to end may be ended again, for another reason.
    entry.value.why ??= why
    try {
      entry.value.request.cut(reason, decision)
    } catch (error) {
      // The other requests are rechecked and ended all the same.
      onCutFailed(error as Error)
    }
  }

  /** Ends the request unless it is still allowed; true: it ended it. */
  function enforce(
    entry: SwapListEntry<Entry>,
    attributes: Attributes,
    decision: Decision,
  ): boolean {
    if (decision.decision === 'allow' || entry.isRemoved) return false
    const { rule, reason } = decision
    const by = rule === '' ? 'the default' : `the rule ${JSON.stringify(rule)}`
    const refusal = forbidden(attributes, reason)
    end(entry, refusal, `no longer allowed under the new rules (decided by ${by})`, decision)
    return true
  }

  function decide({ cluster }: LiveRequest, attributes: Attributes): Decision | Promise<Decision> {
    try {
      const decision = cluster.authorize(attributes)
      return decision instanceof Promise ? decision.catch(() => failed()) : decision
    } catch {
      return failed()
    }
  }

  return {
    add(request) {
      const entry = live.add({ request, why: undefined })
      return () => {
        live.remove(entry)
        return entry.value.why
      }
    },
    get size() {
      return live.size
    },
    // Each over a copy: a request that ends at once leaves the list.
    cutAll(reason) {
      for (const entry of live.snapshot()) end(entry, reason, reason.message)
    },
    recheckAuthorization() {
      rechecks += 1
      const current = rechecks
      let ended = 0
      const pending: Promise<void>[] = []
      for (const entry of live.snapshot()) {
        for (const attributes of attributesOf(entry.value.request)) {
          const decision = decide(entry.value.request, attributes)
          if (!(decision instanceof Promise)) {
            if (enforce(entry, attributes, decision)) {
              ended += 1
              break
            }
            continue
          }
          pending.push(
            decision.then((late) => {
              if (current === rechecks && enforce(entry, attributes, late)) ended += 1
            }),
          )
        }
      }
      return pending.length === 0 ? ended : Promise.all(pending).then(() => ended)
    },
    endWhere(reasonOf) {
      let ended = 0
      for (const entry of live.snapshot()) {
        const reason = reasonFor(entry.value.request, reasonOf)
        if (reason === undefined) continue
        end(entry, reason, reason.message)
        ended += 1
      }
      return ended
    },
    recheckSignIn(recheck) {
      let ended = 0
      for (const entry of live.snapshot()) {
        const why = problemOf(entry.value.request, recheck)
        if (why === undefined) continue
        const because = `the credential is no longer accepted: ${why}`
        end(entry, unauthorized(because), because)
        ended += 1
      }
      return ended
    },
  }
}

function attributesOf({ attributes, impersonation = [] }: LiveRequest): readonly Attributes[] {
  return attributes === undefined ? impersonation : [...impersonation, attributes]
}

/** Fails closed, too: what cannot be rechecked is not accepted, and the other requests are rechecked. */
function problemOf(request: LiveRequest, recheck: SignInRecheck): string | undefined {
  try {
    return recheck(request)
  } catch {
    return 'the recheck failed'
  }
}

/** Fails closed, as `problemOf`. */
function reasonFor(
  request: LiveRequest,
  reasonOf: (request: LiveRequest) => StatusError | undefined,
): StatusError | undefined {
  try {
    return reasonOf(request)
  } catch {
    return new StatusError('InternalError', 'Gatehouse could not check the running request')
  }
}

/** Fails closed: a request without a decision must not continue. */
function failed(): Decision {
  return { decision: 'deny', rule: '', reason: 'the authorizer failed', shadow: [] }
}
