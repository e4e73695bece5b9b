import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

import { ClientFailure } from '../failure.ts'
import type { Server } from '../server.ts'
import { seal, unseal } from './keyring.ts'
import { contextOf, readSession, readStored, type StoredSession } from './read.ts'
import { sessionFile, type Session, type SessionId } from './session.ts'
import { cannotWrite, replaceFile } from './write-file.ts'

/** Where secrets are kept: `auto` is the keyring where there is one, otherwise a file. */
export const CACHES = ['auto', 'keyring', 'file'] as const
export type Cache = (typeof CACHES)[number]

export interface SessionStore {
  /** Undefined when there is none, or when it cannot be read for whatever reason. */
  read(id: SessionId): Promise<Session | undefined>
  /** @throws ClientFailure when it cannot be written; the earlier session stays */
  write(id: SessionId, session: Session): Promise<void>
  remove(id: SessionId): void
  /** Whether there is one, be it readable or not. */
  has(id: SessionId): boolean
  /** The sign-ins at a server, of all accounts and methods, or at all servers. */
  list(origin?: string): readonly SessionId[]
  /** The name of the lock of a session. */
  lockName(id: SessionId): string
}

export interface SessionStoreOptions {
  readonly directory: string
  readonly cache: Cache
}

/** Opens the cache; its directory is made with the first write. */
export function createSessionStore({ directory, cache }: SessionStoreOptions): SessionStore {
  return {
    read: async (id) => readSession(directory, id, unseal),
    async write(id, { facts, secrets }) {
      makePrivate(directory)
      const content = {
        version: 1 as const,
        origin: id.server.origin,
        certificateAuthority: id.server.certificateAuthority,
        account: id.account,
        method: id.method,
        facts,
      }
      const text =
        cache === 'file' ? undefined : await seal(JSON.stringify(secrets), contextOf(content))
      if (text === undefined && cache === 'keyring') {
        throw new ClientFailure('file', 'there is no keyring that can be used: use --cache file')
      }
      const sealed = text === undefined ? secrets : { sealed: text }
      const stored: StoredSession = { ...content, secrets: sealed }
      replaceFile(sessionFile(directory, id), `${JSON.stringify(stored)}\n`)
      removeLeftovers(directory)
    },
    remove(id) {
      const file = sessionFile(directory, id)
      rmSync(file, { force: true })
      for (const name of namesIn(directory)) {
        if (name.startsWith(basename(file)) && DRAFT.test(name)) removeFile(join(directory, name))
      }
    },
    has: (id) => existsSync(sessionFile(directory, id)),
    list(origin) {
      return filesOf(directory).flatMap((file) => {
        const stored = readStored(join(directory, file))
        if (stored === undefined || (origin !== undefined && stored.origin !== origin)) return []
        const { certificateAuthority, account, method } = stored
        const server: Server = { origin: stored.origin, certificateAuthority }
        return [{ server, account, method }]
      })
    },
    lockName(id) {
      makePrivate(directory)
      return sessionFile(directory, id)
    },
  }
}

function filesOf(directory: string): readonly string[] {
  return namesIn(directory).filter((name) => name.endsWith('.json'))
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** What a process that was killed leaves of a session that it was writing (write-file.ts). */
const DRAFT = /\.json\.[0-9a-f]+\.new$/
/** Locks, and drafts of them (lock.ts). */
const LOCK = /\.json\.lock\.\d+(?:\.\d+)?$/
/** Whoever holds a lock touches its file all the time. */
const LEFTOVER_MS = 24 * 60 * 60_000

/** Removes locks that nobody holds and drafts that nobody is writing, of whatever session. */
function removeLeftovers(directory: string): void {
  for (const name of namesIn(directory)) {
    if (!DRAFT.test(name) && !LOCK.test(name)) continue
    const file = join(directory, name)
    const changedAt = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Infinity
    if (Date.now() - changedAt > LEFTOVER_MS) removeFile(file)
  }
}

/** It is in nobody's way, so one that cannot be removed stays. */
function removeFile(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // The directory is read-only, or somebody else's file is in it.
  }
}

/**
 * Makes the directory, for its owner only. Somebody else's directory, or a link to one, is refused: its
 * owner could read the tokens.
 *
 * @throws ClientFailure
 */
export function makePrivate(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const { uid, mode } = lstatSync(directory)
    const isOwn = process.getuid === undefined || uid === process.getuid()
    if (!lstatSync(directory).isDirectory() || !isOwn) {
      throw new ClientFailure('file', `${directory} is not a directory of yours: remove it`)
    }
    if ((mode & 0o077) !== 0 && process.platform !== 'win32') chmodSync(directory, 0o700)
  } catch (error) {
    throw error instanceof ClientFailure ? error : cannotWrite(directory, error)
  }
}
