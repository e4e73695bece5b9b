import { DirectoryUnavailable, openServer } from './connection.ts'
import type { DirectorySecrets, ServerOptions } from './options.ts'

/** Servers do not work, but another one does. */
export class PartlyUnavailable extends Error {
  readonly isPartial = true
}

/**
 * Connects to every server of a directory and binds as the service account, one after the other.
 *
 * @throws Error with what is wrong with each, PartlyUnavailable if one works; ServiceAccountRejected for a
 * password that is rejected: no other server is tried then
 */
export async function checkDirectory(
  options: ServerOptions,
  secrets: DirectorySecrets,
): Promise<void> {
  const problems: string[] = []
  for (const server of options.servers) {
    try {
      const client = await openServer(server, options, secrets)
      client.close()
    } catch (error) {
      if (!(error instanceof DirectoryUnavailable)) throw error
      problems.push(error.message)
    }
  }
  if (problems.length === 0) return
  const message = problems.join('; ')
  if (problems.length === options.servers.length) throw new Error(message)
  throw new PartlyUnavailable(`${message} (another server works)`)
}
