import type { Authorizer } from '../authorization/authorizer.ts'
import type { Upstream } from '../upstream/forward.ts'

/** One API server behind Gatehouse. Today there is one; a reload replaces members. */
export interface Cluster {
  readonly name: string
  /** Decides what users may do there. */
  readonly authorize: Authorizer
  /** Forwards requests to it. */
  readonly upstream: Upstream
}
