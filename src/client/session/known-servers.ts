/**
 * Which servers have named which issuer and client. A token is for a client, not for a server: a hostile
 * server that names the issuer and client of another one would get tokens that the other one accepts.
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
  /** Other servers that have named the same client, if this one has not been accepted for it. */
  othersOf(server: Server, client: IssuedFor): readonly string[]
  /** Remembers a server; it outlives the sign-in. */
  accept(server: Server, client: IssuedFor): void
}

/** Each pair of client and server is a file of its own, so that processes cannot lose each other's. */
export function createKnownServers(cacheDirectory: string): KnownServers {
  const directory = join(cacheDirectory, 'servers')
  return {
    othersOf(server, client) {
      const names = namesIn(directory).filter((name) => name.startsWith(`${clientDigest(client)}-`))
      if (names.includes(fileName(server, client))) return []
      const origins = names.map((name) => originIn(join(directory, name)))
      return [...new Set(origins)]
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
  return `${clientDigest(client)}-${digest(server.origin, server.certificateAuthority)}.json`
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
