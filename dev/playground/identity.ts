/**
 * Authenticates requests: the client certificate identifies the proxy, the impersonation headers the
 * user (apiserver/pkg/endpoints/filters/impersonation, client-go/transport/round_trippers.go).
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Refusal } from './status.ts'

/** `authentication.k8s.io/v1` UserInfo. */
export interface UserInfo {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/** Names and values, alternating, as Node provides them: values are bytes as latin1. */
export type RawHeaders = readonly string[]

/**
 * The impersonated user of a request; undefined when there are no impersonation headers. Throws a
 * Refusal: Unauthorized without a certificate of the client authority, Forbidden when a client other
 * than `proxy` (a common name) impersonates, BadRequest for a group, UID or extra without a user.
 */
export function userOf(socket: Socket, headers: RawHeaders, proxy: string): UserInfo | undefined {
  const commonName = verifiedCommonName(socket)
  if (commonName === undefined) throw new Refusal('Unauthorized', 'Unauthorized')
  const asserted = impersonationOf(headers)
  if (asserted.names.size === 0) return undefined
  const username = asserted.user ?? ''
  if (username === '') {
    throw new Refusal(
      'BadRequest',
      'requested impersonation of groups, uid or extra without impersonating a user',
    )
  }
  if (commonName !== proxy) {
    throw new Refusal(
      'Forbidden',
      `users "${username}" is forbidden: User "${commonName}" cannot impersonate resource "users" in API group "" at the cluster scope`,
      { name: username, kind: 'users' },
    )
  }
  const { uid, extra } = asserted
  return {
    username,
    ...(uid === undefined || uid === '' ? {} : { uid }),
    groups: groupsOf(username, asserted.groups),
    ...(extra.size === 0 ? {} : { extra: Object.fromEntries(extra) }),
  }
}

function verifiedCommonName(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const { CN } = socket.getPeerCertificate().subject
  return typeof CN === 'string' && CN !== '' ? CN : undefined
}

interface Impersonation {
  /** The impersonation headers that are present, in lower case. */
  readonly names: Set<string>
  user?: string
  uid?: string
  readonly groups: string[]
  readonly extra: Map<string, string[]>
}

const PREFIX = 'impersonate-'
const EXTRA_PREFIX = 'impersonate-extra-'

function impersonationOf(headers: RawHeaders): Impersonation {
  const found: Impersonation = { names: new Set(), groups: [], extra: new Map() }
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = (headers[i] ?? '').toLowerCase()
    if (!name.startsWith(PREFIX)) continue
    found.names.add(name)
    take(found, name, Buffer.from(headers[i + 1] ?? '', 'latin1').toString('utf8'))
  }
  return found
}

/** The first user and the first UID count, as with Go's `Header.Get`. */
function take(found: Impersonation, name: string, value: string): void {
  if (name === 'impersonate-user') found.user ??= value
  else if (name === 'impersonate-uid') found.uid ??= value
  else if (name === 'impersonate-group') found.groups.push(value)
  else if (name.startsWith(EXTRA_PREFIX)) {
    const key = unescapeKey(name.slice(EXTRA_PREFIX.length))
    found.extra.set(key, [...(found.extra.get(key) ?? []), value])
  }
}

/** Decodes `%XX` of UTF-8 bytes; a key with an invalid escape is left unchanged. */
function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    return key
  }
}

function groupsOf(username: string, groups: readonly string[]): readonly string[] {
  const serviceAccount = /^system:serviceaccount:([^:]+):[^:]+$/.exec(username)
  const own =
    groups.length === 0 && serviceAccount !== null
      ? ['system:serviceaccounts', `system:serviceaccounts:${serviceAccount[1] ?? ''}`]
      : groups
  const authenticated = ['system:authenticated', 'system:unauthenticated']
  return own.some((group) => authenticated.includes(group)) ? own : [...own, 'system:authenticated']
}
