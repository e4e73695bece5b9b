/**
 * Groups of a user in Google Workspace, by the Directory API (developers.google.com/workspace/admin/directory,
 * groups.list with userKey), as a service account with domain-wide delegation (RFC 7523).
 */
import { createPrivateKey, type KeyObject } from 'node:crypto'

import { SignJWT } from 'jose'
import { z } from 'zod'

import { createBearerApi, readToken } from './bearer-api.ts'
import {
  MAX_SOURCE_GROUPS,
  respondsAbout,
  type GroupSource,
  type LookupLimits,
  type SendHttp,
} from './group-source.ts'

export interface GoogleWorkspaceOptions {
  readonly key: ServiceAccountKey
  /** The administrator as whom the service account reads the directory. */
  readonly adminUser: string
  /** Of the Directory API, without a path. */
  readonly endpoint: string
}

export interface ServiceAccountKey {
  readonly clientEmail: string
  readonly keyID: string
  readonly privateKey: KeyObject
  readonly tokenUri: string
}

const NAME = 'the Google Directory API'
const SCOPE = 'https://www.googleapis.com/auth/admin.directory.group.readonly'
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
/** Seconds. */
const ASSERTION_LIFETIME = 300
const PAGE_SIZE = '200'

const keyFile = z.object({
  type: z.literal('service_account'),
  client_email: z.string().min(1),
  private_key_id: z.string().min(1),
  private_key: z.string().min(1),
  token_uri: z.string().startsWith('https://'),
})

/**
 * Reads the JSON that Google gives out for the key of a service account.
 *
 * @throws Error that does not quote it
 */
export function readServiceAccountKey(text: string): ServiceAccountKey {
  const { success, data } = keyFile.safeParse(parsed(text))
  if (!success) throw new Error('is not the JSON key of a Google service account')
  try {
    return {
      clientEmail: data.client_email,
      keyID: data.private_key_id,
      privateKey: createPrivateKey(data.private_key),
      tokenUri: new URL(data.token_uri).href,
    }
  } catch {
    throw new Error('has a private_key or a token_uri that cannot be read')
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

const page = z.object({
  groups: z.array(z.object({ email: z.string().min(1) })).optional(),
  nextPageToken: z.string().optional(),
})

/** Creates the source. */
export function createGoogleWorkspace(
  { key, adminUser, endpoint }: GoogleWorkspaceOptions,
  effects: { readonly send: SendHttp; readonly clock: () => number },
): GroupSource {
  const { send, clock } = effects
  const api = createBearerApi(
    {
      name: NAME,
      async requestToken(signal) {
        const now = Math.floor(clock() / 1_000)
        const assertion = await new SignJWT({ scope: SCOPE })
          .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: key.keyID })
          .setIssuer(key.clientEmail)
          .setSubject(adminUser)
          .setAudience(key.tokenUri)
          .setIssuedAt(now)
          .setExpirationTime(now + ASSERTION_LIFETIME)
          .sign(key.privateKey)
        const body = new URLSearchParams({ grant_type: GRANT, assertion }).toString()
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        const url = new URL(key.tokenUri)
        return readToken(NAME, await send(url, { method: 'POST', headers, body }, signal))
      },
    },
    effects,
  )

  async function groupsOf(user: string, limits: LookupLimits): Promise<readonly string[]> {
    const names: string[] = []
    let pageToken: string | undefined
    do {
      const url = new URL('/admin/directory/v1/groups', endpoint)
      url.search = new URLSearchParams({
        userKey: user,
        maxResults: PAGE_SIZE,
        ...(pageToken === undefined ? {} : { pageToken }),
      }).toString()
      const { success, data } = page.safeParse(await api.get(url, {}, limits))
      if (!success) throw new Error(`${NAME} did not respond with a page of groups`)
      names.push(...(data.groups ?? []).map(({ email }) => email))
      pageToken = data.nextPageToken === '' ? undefined : data.nextPageToken
    } while (pageToken !== undefined && names.length <= MAX_SOURCE_GROUPS)
    return names
  }

  return { groupsOf, check: (limits) => respondsAbout(adminUser, groupsOf, limits) }
}
