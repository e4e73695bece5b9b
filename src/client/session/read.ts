/** Reads a cached session. Whatever is wrong with it means that there is none. */
import { readFileSync } from 'node:fs'

import {
  sessionFile,
  type Secrets,
  type Session,
  type SessionFacts,
  type SessionId,
} from './session.ts'

/** The content of a session's file. */
export interface StoredSession {
  readonly version: 1
  readonly origin: string
  readonly certificateAuthority: string
  readonly account: string
  readonly method: string
  readonly facts: SessionFacts
  /** In plain text, in a file for its owner only, or encrypted with a key in the keyring. */
  readonly secrets: Secrets | { readonly sealed: string }
}

/** Decrypts what was sealed with the key in the keyring; undefined when that is not possible. */
export type Unseal = (sealed: string, context: string) => Promise<string | undefined>

/**
 * What is sealed together with the secrets. Whoever can write the file, and has no key, cannot give them to
 * another server, or have them renewed at another issuer.
 */
export function contextOf(stored: Omit<StoredSession, 'secrets'>): string {
  const { version, origin, certificateAuthority, account, method, facts } = stored
  return JSON.stringify([version, origin, certificateAuthority, account, method, facts])
}

/** The session, or undefined: none, one of another server or CA, or a file that is not one. */
export function readSession(
  directory: string,
  id: SessionId,
  unseal: Unseal,
): Session | undefined | Promise<Session | undefined> {
  const stored = readStored(sessionFile(directory, id))
  if (stored === undefined || !isOf(stored, id)) return undefined
  const { facts, secrets } = stored
  if (!('sealed' in secrets)) return isSecrets(secrets) ? { facts, secrets } : undefined
  return unseal(secrets.sealed, contextOf(stored)).then((text) => {
    const opened = text === undefined ? undefined : parsed(text)
    return isSecrets(opened) ? { facts, secrets: opened } : undefined
  })
}

/** The content of a file of this version, not yet compared with what was asked for. */
export function readStored(file: string): StoredSession | undefined {
  try {
    const stored = parsed(readFileSync(file, 'utf8'))
    return isStored(stored) ? stored : undefined
  } catch {
    return undefined
  }
}

/** The token is only ever given for the server, and under the CA, that it was obtained for. */
function isOf(stored: StoredSession, { server, account, method }: SessionId): boolean {
  return (
    stored.origin === server.origin &&
    stored.certificateAuthority === server.certificateAuthority &&
    stored.account === account &&
    stored.method === method
  )
}

function isStored(value: unknown): value is StoredSession {
  if (!isObject(value) || value['version'] !== 1) return false
  const { facts, secrets } = value
  if (!isObject(facts) || !isObject(secrets)) return false
  const texts = ['issuer', 'clientID', 'subject', 'discoveryURL', 'issuerCA']
  return (
    texts.every((name) => typeof facts[name] === 'string') &&
    ['undefined', 'string'].includes(typeof facts['clientSecret']) &&
    Array.isArray(facts['scopes']) &&
    hasTimes(facts) &&
    (facts['certificateFiles'] === undefined || isPair(facts['certificateFiles'])) &&
    (secrets['sealed'] === undefined || typeof secrets['sealed'] === 'string')
  )
}

function hasTimes(facts: Readonly<Record<string, unknown>>): boolean {
  return (
    ['renewAt', 'expiresAt'].every((name) => Number.isFinite(facts[name])) &&
    ['certificateRenewAt', 'certificateExpiresAt'].every(
      (name) => facts[name] === undefined || Number.isFinite(facts[name]),
    )
  )
}

function isSecrets(value: unknown): value is Secrets {
  if (!isObject(value) || typeof value['token'] !== 'string') return false
  const { refreshToken, certificate, boundTo } = value
  return (
    (refreshToken === undefined || typeof refreshToken === 'string') &&
    (certificate === undefined || isPair(certificate)) &&
    (boundTo === undefined || isPair(boundTo))
  )
}

function isPair(value: unknown): boolean {
  return (
    isObject(value) && typeof value['certificate'] === 'string' && typeof value['key'] === 'string'
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
