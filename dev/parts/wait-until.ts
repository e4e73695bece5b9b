import { setTimeout as sleep } from 'node:timers/promises'

const INTERVAL_MS = 100
const DEFAULT_TIMEOUT_MS = 60_000

/**
 * Checks every 100 ms until `holds` returns true. A check that throws counts as false. Throws when
 * `failed` rejects, and after `timeoutMs` (default: a minute), with the error of the last check as the cause.
 */
export async function waitUntil(
  what: string,
  holds: () => Promise<boolean>,
  failed?: Promise<never>,
  timeoutMs: number = DEFAULT_TIMEOUT_MS,
): Promise<void> {
  const end = Date.now() + timeoutMs
  let last: unknown
  while (Date.now() < end) {
    try {
      if (await holds()) return
    } catch (error) {
      last = error
    }
    await Promise.race([sleep(INTERVAL_MS), ...(failed === undefined ? [] : [failed])])
  }
  throw new Error(`timed out after ${timeoutMs / 1000} s waiting until ${what}`, { cause: last })
}
