/** Waits on loopback for the browser to come back from the issuer (RFC 8252 section 7.3). */
import { timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { ClientFailure } from '../failure.ts'
import { resultPage } from './result-page.ts'

export interface Loopback {
  /** The redirect URI that is in use, with its port. */
  readonly redirectURI: string
  /** The URL to which the issuer sent the browser. Rejects with a ClientFailure for a wrong state. */
  readonly redirected: Promise<URL>
  close(): void
}

export interface LoopbackOptions {
  /** Tried in order; one without a port stands for any free port. */
  readonly redirectURIs: readonly string[]
  readonly state: string
}

/**
 * Listens for the redirect.
 *
 * @throws ClientFailure when the ports of all redirect URIs are in use
 */
export async function listenForRedirect({
  redirectURIs,
  state,
}: LoopbackOptions): Promise<Loopback> {
  const failed: string[] = []
  for (const uri of redirectURIs) {
    const servers = await bind(uri)
    if (servers !== undefined) return serve(uri, servers, state)
    failed.push(new URL(uri).port)
  }
  throw new ClientFailure(
    'signInFailed',
    `the ports ${failed.join(', ')} are in use, on which the browser would return: end the program that uses one of them`,
  )
}

/** The servers of a redirect URI; browsers resolve localhost to either address. */
async function bind(uri: string): Promise<readonly Server[] | undefined> {
  const { hostname, port } = new URL(uri)
  const addresses =
    hostname === 'localhost' ? ['127.0.0.1', '::1'] : [hostname.replace(/^\[|\]$/g, '')]
  const servers: Server[] = []
  let bound = port === '' && hasNoPort(uri) ? 0 : Number(port === '' ? 80 : port)
  for (const address of addresses) {
    const server = createServer()
    const problem = await listen(server, address, bound)
    if (problem === undefined) {
      servers.push(server)
      bound = (server.address() as AddressInfo).port
    } else if (problem !== 'EADDRNOTAVAIL' && problem !== 'EAFNOSUPPORT') {
      for (const other of servers) other.close()
      return undefined
    }
  }
  return servers.length === 0 ? undefined : servers
}

/** `http://localhost:80` has a port, although URL leaves it out. */
function hasNoPort(uri: string): boolean {
  return !/^http:\/\/[^/]*:80(?:\/|$)/i.test(uri)
}

function listen(server: Server, host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    server.once('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => resolve(code))
    server.listen({ host, port, exclusive: true }, () => resolve(undefined))
  })
}

function serve(uri: string, servers: readonly Server[], state: string): Loopback {
  const { port } = servers[0]?.address() as AddressInfo
  const redirectURI = withPort(uri, port)
  const expected = new URL(redirectURI)
  const { promise, resolve, reject } = Promise.withResolvers<URL>()
  // Whoever has stopped waiting is not interested in the reason.
  promise.catch(() => undefined)

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const url = redirectOf(request, expected)
    if (url === undefined) {
      response.writeHead(404, { 'Content-Type': 'text/plain', Connection: 'close' })
      response.end('not found\n')
      return
    }
    const isOurs = isSame(url.searchParams.get('state') ?? '', state)
    const isGood = isOurs && !url.searchParams.has('error')
    response.once('close', () => {
      if (isOurs) resolve(url)
      else reject(wrongState())
    })
    const page = resultPage(isGood ? 'done' : isOurs ? 'refused' : 'wrong state')
    response.writeHead(isGood ? 200 : 400, { ...page.headers, Connection: 'close' })
    response.end(page.body)
  }

  for (const server of servers) server.on('request', onRequest)
  return {
    redirectURI,
    redirected: promise,
    close() {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

/** The failure of a redirect that belongs to another sign-in. */
export function wrongState(): ClientFailure {
  return new ClientFailure(
    'untrusted',
    'the browser came back from another sign-in (wrong state): nothing was accepted; try again, in one window',
  )
}

/**
 * The URL of a request that can be the redirect: a GET of the path, for the host of the redirect URI
 * (another one is DNS rebinding), with the parameters of a response.
 */
function redirectOf(
  { method, headers, url = '' }: IncomingMessage,
  expected: URL,
): URL | undefined {
  if (method !== 'GET' || headers.host !== expected.host || !url.startsWith('/')) return undefined
  if (!URL.canParse(url, expected)) return undefined
  const target = new URL(url, expected)
  const { searchParams } = target
  if (target.pathname !== expected.pathname || target.host !== expected.host) return undefined
  return searchParams.has('code') || searchParams.has('error') ? target : undefined
}

/** Issuers compare the URI with the registered one, character by character, the port excepted. */
function withPort(uri: string, port: number): string {
  return new URL(uri).port === '' && hasNoPort(uri)
    ? uri.replace(/^(http:\/\/(?:\[[^\]]*\]|[^/:]*))/i, `$1:${port}`)
    : uri
}

/** Compares two texts in a time that does not depend on where they differ. */
export function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
