import { setTimeout as sleep } from 'node:timers/promises'

const INTERVAL_MS = 100
const TIMEOUT_MS = 30_000

/**
 * Checks every 100 ms until `holds` returns true. A check that throws counts as false. Throws when
 * `failed` rejects, and after 30 s, with the error of the last check as the cause.
 */
export async function waitUntil(
  what: string,
  holds: () => Promise<boolean>,
  failed?: Promise<never>,
): Promise<void> {
  const end = Date.now() + TIMEOUT_MS
  let last: unknown
  while (Date.now() < end) {
    try {
      if (await holds()) return
    } catch (error) {
      last = error
    }
    await Promise.race([sleep(INTERVAL_MS), ...(failed === undefined ? [] : [failed])])
  }
  throw new Error(`timed out after 30 s waiting until ${what}`, { cause: last })
}
