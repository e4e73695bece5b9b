import { randomBytes } from 'node:crypto'

import { z } from 'zod'

import type { Authentication } from '../../authentication/authenticator.ts'
import { keysOf } from '../../revocations/revocations.ts'

/**
 * What a session cookie holds, and nothing else is kept of a sign-in. Names are short, since a cookie
 * must be: browsers drop one of more than 4,096 bytes.
 */
const sessionSchema = z.strictObject({
  /** Of this session alone. */
  id: z.string(),
  /** As revocations name them: the user at the issuer, and the issuer's session. */
  subject: z.string(),
  issuerSession: z.string().optional(),
  /** When the ID token was issued, by the issuer's clock; as all times, in milliseconds since the epoch. */
  issuedAt: z.number(),
  signedInAt: z.number(),
  expiresAt: z.number(),
  /** As the API server would see the user; long texts are shortened, and groups beyond the room left out. */
  username: z.string(),
  uid: z.string(),
  groups: z.array(z.string()),
  groupCount: z.number(),
  /** Whether the user may be in more groups than the API server would see. */
  hasUnassertedGroups: z.boolean().optional(),
  /** The ID token, for the issuer's logout, if it fits. */
  idToken: z.string().optional(),
})

export type Session = z.output<typeof sessionSchema>

/** What an issuer says about a session of its own. */
export interface IssuerSession {
  readonly issuer: string
  /** `sub`. */
  readonly subject: string
  /** `sid`; undefined for an issuer that does not name its sessions. */
  readonly session: string | undefined
}

/** Bytes of the JSON. Encrypted and encoded, with the cookie's name, they are below 4,000. */
const MAX_SESSION_BYTES = 2_800
/** A longer ID token would leave no room for groups: without it, the issuer asks whether to sign out. */
const MAX_ID_TOKEN_BYTES = 1_600
const MAX_NAME_LENGTH = 160

/** @param now and lifetime in milliseconds */
export function createSession(
  { user, origin }: Authentication,
  issued: IssuerSession & { readonly idToken: string },
  { now, lifetime }: { readonly now: number; readonly lifetime: number },
): Session {
  const { username, uid, groups, unassertedGroups } = user
  const { idToken } = issued
  const { subject, session: issuerSession } = keysOf(issued)
  const session = {
    id: randomBytes(16).toString('base64url'),
    subject,
    ...(issuerSession === undefined ? {} : { issuerSession }),
    issuedAt: origin?.issuedAt ?? 0,
    signedInAt: now,
    expiresAt: now + lifetime,
    username: shortened(username),
    uid: shortened(uid),
    groups: [],
    groupCount: groups.length,
    ...(unassertedGroups === undefined ? {} : { hasUnassertedGroups: true }),
    ...(idToken.length > MAX_ID_TOKEN_BYTES ? {} : { idToken }),
  }
  const room = MAX_SESSION_BYTES - bytesOf(session)
  return { ...session, groups: thoseThatFit(groups.map(shortened), room) }
}

/** @returns undefined if the value is not a session, or the session has expired */
export function readSession(value: unknown, now: number): Session | undefined {
  const { data } = sessionSchema.safeParse(value)
  return data !== undefined && now < data.expiresAt ? data : undefined
}

function thoseThatFit(groups: readonly string[], room: number): string[] {
  let left = room
  const end = groups.findIndex((group) => {
    left -= bytesOf(group) + 1
    return left < 0
  })
  return groups.slice(0, end === -1 ? groups.length : end)
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}

function shortened(name: string): string {
  return name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH - 1)}…` : name
}
