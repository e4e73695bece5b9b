import type { Authorizer } from '../authorization/authorizer.ts'
import type { Upstream } from '../upstream/forward.ts'

/** One API server behind Gatehouse. Today there is one; a reload replaces members. */
export interface Cluster {
  readonly name: string
  /** Who may do what there. */
  readonly authorize: Authorizer
  /** The way there. */
  readonly upstream: Upstream
}
