/** One connection to a directory, always under TLS. It is never opened a second time. */
import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'

import { ResultCodeError } from 'ldapts'

import { verifiedTls } from '../verified-tls.ts'
import { LdapClient } from './client.ts'
import type { DirectorySecrets, ServerOptions } from './options.ts'
import { REJECTIONS, ServiceAccountRejected } from './rejections.ts'

const LDAP_PORT = 389
const LDAPS_PORT = 636

/** Why no server of a directory could be asked. */
export class DirectoryUnavailable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DirectoryUnavailable'
  }
}

/** A connection that is bound as the service account, and the server that it leads to. */
export interface OpenDirectory {
  readonly server: string
  readonly client: LdapClient
}

/**
 * Opens a connection to the first server that can be reached, and binds as the service account.
 *
 * @throws DirectoryUnavailable with what is wrong with each server; ServiceAccountRejected for a password that
 * is rejected: no other server is tried then
 */
export async function openDirectory(
  options: ServerOptions,
  secrets: DirectorySecrets,
): Promise<OpenDirectory> {
  const problems: string[] = []
  for (const server of options.servers) {
    try {
      return { server, client: await openServer(server, options, secrets) }
    } catch (error) {
      if (!(error instanceof DirectoryUnavailable)) throw error
      problems.push(error.message)
    }
  }
  throw new DirectoryUnavailable(problems.join('; '))
}

/**
 * Opens another connection to a server, without binding.
 *
 * @throws Error when the server cannot be reached, or its certificate is not trusted
 */
export async function connectServer(
  server: string,
  { startTLS, timeout }: Pick<ServerOptions, 'startTLS' | 'timeout'>,
  { ca }: Pick<DirectorySecrets, 'ca'>,
): Promise<LdapClient> {
  const { hostname, port } = new URL(server)
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  const tls: ConnectionOptions = {
    ...verifiedTls(ca),
    // Without `host`, an upgraded socket would be verified for localhost.
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  }
  if (!startTLS) {
    const address = { host, port: port === '' ? LDAPS_PORT : Number(port) }
    const socket = connectTls({ ...tls, ...address })
    return new LdapClient(await opened(socket, 'secureConnect', timeout), timeout)
  }
  const plain = connectTcp({ host, port: port === '' ? LDAP_PORT : Number(port) })
  try {
    const client = new LdapClient(await opened(plain, 'connect', timeout), timeout)
    const socket = connectTls({ ...tls, socket: await client.startTLS() })
    return new LdapClient(await opened(socket, 'secureConnect', timeout), timeout)
  } catch (error) {
    plain.destroy()
    throw error
  }
}

/** Waits until a socket is connected; destroys it otherwise. */
async function opened<T extends Socket>(
  socket: T,
  event: 'connect' | 'secureConnect',
  timeout: number,
): Promise<T> {
  socket.setNoDelay(true)
  // Later errors are those of who uses it; there is always a listener.
  socket.on('error', () => undefined)
  try {
    await once(socket, event, { signal: AbortSignal.timeout(timeout) })
    return socket
  } catch (error) {
    socket.destroy()
    if ((error as Error).name !== 'AbortError') throw error
    throw new Error(`no connection within ${timeout} ms`, { cause: error })
  }
}

/**
 * Opens a connection to a server, and binds as the service account.
 *
 * @throws ServiceAccountRejected, or DirectoryUnavailable
 */
export async function openServer(
  server: string,
  options: ServerOptions,
  secrets: DirectorySecrets,
): Promise<LdapClient> {
  let client: LdapClient | undefined
  try {
    client = await connectServer(server, options, secrets)
    await client.bind(options.bindDN, secrets.bindPassword)
    return client
  } catch (error) {
    client?.close()
    if (error instanceof ResultCodeError) {
      if (REJECTIONS.has(error.code)) {
        throw new ServiceAccountRejected(server, options.bindDN, error)
      }
      const result = `LDAP result ${error.code}: ${error.name}`
      throw new DirectoryUnavailable(`${server}: ${result}`, { cause: error })
    }
    const { message, code } = error as NodeJS.ErrnoException
    // That of several addresses at once has no message.
    throw new DirectoryUnavailable(`${server}: ${message || code}`, { cause: error })
  }
}
