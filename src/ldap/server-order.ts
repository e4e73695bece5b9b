export interface ServerOrder {
  /** All servers. Those that have failed lately come last. */
  all(): readonly string[]
  failed(server: string): void
}

/** For so long a server that has failed is asked last, so that not every lookup waits for it. */
const LAST_MS = 60_000

/**
 * Creates the order in which the servers of a directory are asked.
 *
 * @param now milliseconds of a monotonic clock
 */
export function createServerOrder(
  servers: readonly string[],
  { now }: { readonly now: () => number },
): ServerOrder {
  const failures = new Map<string, number>()
  const isWorking = (server: string): boolean => {
    const failedAt = failures.get(server)
    return failedAt === undefined || now() - failedAt >= LAST_MS
  }
  return {
    all: () => [...servers.filter(isWorking), ...servers.filter((server) => !isWorking(server))],
    failed: (server) => void failures.set(server, now()),
  }
}
