/** One connection to a directory, always under TLS. It is never opened a second time. */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'

import { Client } from 'ldapts'

import type { DirectorySecrets, ServerOptions } from './options.ts'

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
  readonly client: Client
}

/**
 * Opens a connection to the first server that can be reached, and binds as the service account.
 *
 * @throws DirectoryUnavailable with what is wrong with each server
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
      problems.push(`${server}: ${(error as Error).message}`)
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
  { startTLS, timeout }: ServerOptions,
  { ca }: DirectorySecrets,
): Promise<Client> {
  const { hostname } = new URL(server)
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  const tls: ConnectionOptions = {
    ca,
    // As in Go: every certificate of the file is a trust anchor.
    allowPartialTrustChain: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    // Without `host`, an upgraded socket would be verified for localhost.
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  }
  let isOpen = false
  // The library connects again by itself, without the bind: as an anonymous client, which may see fewer groups,
  // and in plain text if the connection was upgraded.
  const openOnce = (): void => {
    if (isOpen) throw new Error('the connection was closed')
    isOpen = true
  }
  const client = new Client({
    url: server,
    timeout,
    connectTimeout: timeout,
    ...(startTLS
      ? {
          createConnection: ((port: number, address: string): Socket => {
            openOnce()
            return connectTcp(port, address)
          }) as typeof connectTcp,
        }
      : {
          createSecureConnection: ((port: number, address: string): TLSSocket => {
            openOnce()
            return connectTls(port, address, tls)
          }) as typeof connectTls,
        }),
  })
  try {
    if (startTLS) {
      await inTime(client.startTLS(tls), timeout)
      requireNothingBefore(client)
    }
    return client
  } catch (error) {
    await close(client)
    throw error
  }
}

/**
 * Whoever is between Gatehouse and the server can add plain text behind the response to StartTLS. The library
 * would read it as the beginning of the first response under TLS: a bind that was rejected then succeeds (the
 * kind of CVE-2011-0411).
 *
 * @throws Error when there are such bytes, or when this version of the library keeps them elsewhere
 */
function requireNothingBefore(client: Client): void {
  const { messageParser } = client as unknown as {
    readonly messageParser?: { readonly buffer?: Buffer; readonly read?: unknown }
  }
  if (typeof messageParser?.read !== 'function') {
    throw new Error('this version of the LDAP library keeps what it has received elsewhere')
  }
  if (messageParser.buffer !== undefined) {
    throw new Error('there was plain text behind the response to StartTLS')
  }
}

async function openServer(
  server: string,
  options: ServerOptions,
  secrets: DirectorySecrets,
): Promise<Client> {
  const client = await connectServer(server, options, secrets)
  try {
    await client.bind(options.bindDN, secrets.bindPassword)
    return client
  } catch (error) {
    await close(client)
    throw error
  }
}

/** The TLS handshake of an upgrade has no timeout of its own. */
async function inTime(work: Promise<void>, timeout: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no TLS within ${timeout} ms`)), timeout)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
    work.catch(() => undefined)
  }
}

/** Ends a connection, whatever its state. */
export async function close(client: Client): Promise<void> {
  await client.unbind().catch(() => undefined)
}
