import { ResultCodeError } from 'ldapts'

import { connectServer } from './connection.ts'
import { REJECTIONS } from './directory.ts'
import type { DirectoryOptions, DirectorySecrets } from './options.ts'

/** How long a rejected password is not tried again: directories lock an account after a few failures. */
const REJECTED_PAUSE_MS = 30 * 60_000

/** A server does not accept the service account. */
export class ServiceAccountRejected extends Error {
  /** Milliseconds. */
  readonly retryAfter = REJECTED_PAUSE_MS

  constructor(server: string, bindDN: string, { code, name }: ResultCodeError) {
    const account = JSON.stringify(bindDN)
    super(
      `${server} does not accept ${account} (LDAP result ${code}: ${name}); check bindPasswordFile`,
    )
    this.name = 'ServiceAccountRejected'
  }
}

/**
 * Connects to every server of a directory and binds as the service account, one after the other.
 *
 * @throws Error with what is wrong with each; after a rejected password, no other server is tried
 */
export async function checkDirectory(
  options: DirectoryOptions,
  secrets: DirectorySecrets,
): Promise<void> {
  const problems: string[] = []
  for (const server of options.servers) {
    try {
      await checkServer(server, options, secrets)
    } catch (error) {
      if (error instanceof ServiceAccountRejected) throw error
      problems.push(`${server}: ${(error as Error).message}`)
    }
  }
  if (problems.length === 0) return
  const isPartial = problems.length < options.servers.length
  throw new Error(`${problems.join('; ')}${isPartial ? ' (another server works)' : ''}`)
}

async function checkServer(
  server: string,
  options: DirectoryOptions,
  secrets: DirectorySecrets,
): Promise<void> {
  const client = await connectServer(server, options, secrets)
  try {
    await client.bind(options.bindDN, secrets.bindPassword)
  } catch (error) {
    if (error instanceof ResultCodeError && REJECTIONS.has(error.code)) {
      throw new ServiceAccountRejected(server, options.bindDN, error)
    }
    throw error
  } finally {
    client.close()
  }
}
