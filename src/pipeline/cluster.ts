import type { Authorizer } from '../authorization/authorizer.ts'
import type { Impersonator } from '../impersonation/impersonator.ts'
import type { Upstream } from '../upstream/forward.ts'

/** One API server behind Gatehouse. Today there is one; a reload replaces members. */
export interface Cluster {
  readonly name: string
  /** Decides what users may do there. */
  readonly authorize: Authorizer
  /** Decides who may act as whom there; undefined: nobody may. */
  readonly impersonate?: Impersonator | undefined
  /** Forwards requests to it. */
  readonly upstream: Upstream
}
