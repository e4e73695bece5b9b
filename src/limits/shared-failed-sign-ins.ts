/** Failed sign-ins at all replicas, counted in Redis; without it, each replica counts for itself. */
import { countOf, listOf, unexpectedReply } from '../state/script-reply.ts'
import type { SharedStore } from '../state/shared-store.ts'
import { COUNT_FAILURE } from './failure-script.ts'
import {
  createFailedSignIns,
  delayOf,
  MAX_USERS,
  type FailedSignIns,
  type FailedSignInsEffects,
  type FailedSignInsOptions,
  type FailureVerdict,
} from './failed-sign-ins.ts'

export interface SharedFailedSignInsEffects extends FailedSignInsEffects {
  readonly store: SharedStore
}

/** Creates the count of several replicas. */
export function createSharedFailedSignIns(
  options: FailedSignInsOptions,
  { store, now }: SharedFailedSignInsEffects,
): FailedSignIns {
  const { window, banAfter, ban, maxBan } = options
  const local = createFailedSignIns(options, { now })

  function verdictOf(reply: unknown): FailureVerdict {
    const parts = listOf(reply)
    const [failures, ofUser, bannedFor] = [countOf(parts[0]), countOf(parts[1]), countOf(parts[2])]
    if (bannedFor > maxBan) return unexpectedReply()
    const isBanned = bannedFor > 0
    return {
      delay: isBanned ? 0 : delayOf(options, failures, ofUser),
      bannedFor,
      bannedAfter: isBanned && parts[3] === 1 ? failures : undefined,
    }
  }

  return {
    add(address, user) {
      if (store.problem !== undefined) return local.add(address, user)
      const key = store.key(store.names.of('address', address), 'failures')
      const field = user === undefined ? '' : `user ${store.names.of('claimed user', user)}`
      return store
        .run(COUNT_FAILURE, [key], [window, banAfter, ban, maxBan, MAX_USERS, field], verdictOf)
        .catch(() => local.add(address, user))
    },
  }
}
