/** The port of what replicas share; redis-store.ts implements it. Without Redis there is no store. */
import { createHash } from 'node:crypto'

import type { KeyedDigest } from './keyed-digest.ts'
import type { RecordSealer } from './sealed-record.ts'

/** A replica counts as dead when it has not reported for this long. */
export const LEASE_MS = 15_000
/** It reports three times before that. */
export const HEARTBEAT_MS = LEASE_MS / 3

/** A script of the store, in Lua. Nothing from a user is ever part of its text. */
export interface Script {
  readonly text: string
  /** SHA-1, by which Redis keeps it. */
  readonly digest: string
}

/** Defines a script. */
export function defineScript(text: string): Script {
  return { text, digest: createHash('sha1').update(text).digest('hex') }
}

/** The store could not be used, or did not respond in time. The message says why, and no secrets. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
}

export interface SharedStore {
  /** Why the store is not used now; undefined while it is. */
  readonly problem: string | undefined
  /** Replicas alive, this one included, when they were last counted. */
  readonly replicas: number
  /** The random name of this replica, from its start to its end. */
  readonly replica: string
  /** Names of users and addresses as keys. A reload replaces it: read it anew for every use. */
  readonly names: KeyedDigest
  /** Seals what others must not read. Read it anew for every use. */
  readonly records: RecordSealer
  /**
   * A key, with the configured prefix.
   *
   * @param name a digest, or a constant. In a Cluster, all keys of one script need the same one
   * @param what a constant that says what is kept there
   */
  key(name: string, what: string): string
  /**
   * Runs a script once, within `state.redis.timeout`, by the clock of the store. After a failure it may
   * have run all the same.
   *
   * @param keys from `key`
   * @param values numbers, digests and sealed records; never names
   * @param read makes the result of the reply (script-reply.ts); what it throws is a failure of the store
   * @throws StoreUnavailable at once while there is a problem
   */
  run<T>(
    script: Script,
    keys: readonly string[],
    values: readonly (string | number)[],
    read: (reply: unknown) => T,
  ): Promise<T>
  /** Calls back when the store becomes usable, each time; at once if it is now. */
  onUsable(listener: () => void): void
}
