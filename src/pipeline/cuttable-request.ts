/** A request on its way to the API server, which a reload or a shutdown may end at any point. */
import type { Authentication } from '../authentication/authenticator.ts'
import type { Attributes, Decision } from '../authorization/authorizer.ts'
import type { ClientConnection } from '../http/exchange.ts'
import type { StatusError } from '../status.ts'
import type { Cluster } from './cluster.ts'
import type { LiveRequest } from './live-requests.ts'

/** A running request. Once it is cut, it ends by what `endBy` was given, or as soon as that is given. */
export class CuttableRequest implements LiveRequest {
  readonly cluster: Cluster
  attributes: Attributes | undefined = undefined
  impersonation?: readonly Attributes[]
  readonly authentication: Authentication
  readonly connection: ClientConnection
  #reason: StatusError | undefined
  #decision: Decision | undefined
  #end: ((reason: StatusError) => void) | undefined

  constructor(cluster: Cluster, authentication: Authentication, connection: ClientConnection) {
    this.cluster = cluster
    this.authentication = authentication
    this.connection = connection
  }

  cut(reason: StatusError, decision?: Decision): void {
    this.#reason ??= reason
    this.#decision ??= decision
    this.#end?.(reason)
  }

  /**
   * What an authorizer's decision is worth: an allow that came after the request was ended is replaced
   * by the decision that ended it, or is void if the reason was another one.
   */
  inEffect(decision: Decision): Decision | undefined {
    return this.#reason === undefined || decision.decision !== 'allow' ? decision : this.#decision
  }

  /**
   * @param onDecision called with the decision that ended it, if it was one
   * @throws StatusError the reason, if it was ended: it must not be forwarded
   */
  throwIfCut(onDecision?: (decision: Decision) => void): void {
    if (this.#reason === undefined) return
    if (this.#decision !== undefined) onDecision?.(this.#decision)
    throw this.#reason
  }

  /** The lock or the end of a sign-in for which it was ended. */
  get endedFor(): Pick<StatusError, 'lock' | 'revocation'> {
    const { lock, revocation } = this.#reason ?? { lock: undefined, revocation: undefined }
    return { lock, revocation }
  }

  /** From now on it ends by `end`: at once if it was ended before. */
  endBy(end: (reason: StatusError) => void): void {
    this.#end = end
    if (this.#reason !== undefined) end(this.#reason)
  }
}
