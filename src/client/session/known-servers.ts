/**
 * Which servers have named which issuer and client. A token is for a client, not for a server: a hostile
 * server that names the issuer and client of another one would get tokens that the other one accepts. An
 * issuer of its own can do the same: it sends the browser on to the other one's issuer, whose response it
 * then redeems (the mix-up attack, RFC 9207), unless that issuer names itself in the response.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Server } from '../server.ts'
import { makePrivate } from './store.ts'
import { replaceFile } from './write-file.ts'

/** An OAuth client, for which an issuer issues tokens. */
export interface IssuedFor {
  readonly issuer: string
  readonly clientID: string
}

export interface KnownServers {
  /** Other servers that the user has signed in at, if this one has not been accepted for the client. */
  othersOf(server: Server, client: IssuedFor): readonly string[]
  /** Remembers a server; it outlives the sign-in. */
  accept(server: Server, client: IssuedFor): void
}

/** Each pair of client and server is a file of its own, so that processes cannot lose each other's. */
export function createKnownServers(cacheDirectory: string): KnownServers {
  const directory = join(cacheDirectory, 'servers')
  return {
    othersOf(server, client) {
      const names = namesIn(directory)
      if (names.includes(fileName(server, client))) return []
      const own = serverDigest(server)
      const others = names.filter((name) => !name.endsWith(`-${own}.json`))
      return [...new Set(others.map((name) => originIn(join(directory, name))))]
    },
    accept(server, client) {
      makePrivate(cacheDirectory)
      makePrivate(directory)
      const content = JSON.stringify({ origin: server.origin, ...client })
      replaceFile(join(directory, fileName(server, client)), `${content}\n`)
    },
  }
}

function fileName(server: Server, client: IssuedFor): string {
  return `${clientDigest(client)}-${serverDigest(server)}.json`
}

function serverDigest({ origin, certificateAuthority }: Server): string {
  return digest(origin, certificateAuthority)
}

function clientDigest({ issuer, clientID }: IssuedFor): string {
  return digest(issuer, clientID)
}

function digest(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).filter((name) => name.endsWith('.json'))
  } catch {
    return []
  }
}

function originIn(file: string): string {
  try {
    return String((JSON.parse(readFileSync(file, 'utf8')) as { origin?: unknown }).origin)
  } catch {
    return 'another server'
  }
}
