/**
 * Groups of a user in Microsoft Entra ID, by Microsoft Graph (learn.microsoft.com/graph/api/
 * user-list-transitivememberof). A token with more than 200 groups has none of them: it names an address
 * where they are, which is never asked.
 */
import { z } from 'zod'

import { createBearerApi, readToken } from './bearer-api.ts'
import {
  MAX_SOURCE_GROUPS,
  respondsAbout,
  UnknownUserError,
  type GroupSource,
  type LookupLimits,
  type SendHttp,
} from './group-source.ts'

export interface MicrosoftGraphOptions {
  readonly tenantID: string
  readonly clientID: string
  readonly clientSecret: string
  /** What of a group becomes its name. */
  readonly groupName: 'id' | 'displayName'
  /** Of Microsoft Graph and of the token endpoint, without a path. */
  readonly endpoint: string
  readonly authority: string
}

const NAME = 'Microsoft Graph'
const PAGE_SIZE = 999
/** The ID of no user. Graph responds with 404, and without the permission to read groups with 403. */
const NOBODY = '00000000-0000-0000-0000-000000000000'

const page = z.object({
  value: z.array(z.object({ id: z.string(), displayName: z.string().nullish() })),
  '@odata.nextLink': z.string().optional(),
})

/** Creates the source. */
export function createMicrosoftGraph(
  options: MicrosoftGraphOptions,
  effects: { readonly send: SendHttp; readonly clock: () => number },
): GroupSource {
  const { tenantID, clientID, clientSecret, groupName, endpoint, authority } = options
  const tokenUrl = new URL(`/${encodeURIComponent(tenantID)}/oauth2/v2.0/token`, authority)
  const api = createBearerApi(
    {
      name: NAME,
      async requestToken(signal) {
        const form = new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: clientID,
          client_secret: clientSecret,
          scope: new URL('/.default', endpoint).href,
        })
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        const request = { method: 'POST', headers, body: form.toString() } as const
        return readToken(NAME, await effects.send(tokenUrl, request, signal))
      },
    },
    effects,
  )

  async function groupsOf(user: string, limits: LookupLimits): Promise<readonly string[]> {
    const names: string[] = []
    // The cast to groups needs advanced queries, and these ConsistencyLevel and $count.
    let next: URL | undefined = new URL(
      `/v1.0/users/${segmentOf(user)}/transitiveMemberOf/microsoft.graph.group`,
      endpoint,
    )
    next.search = `$count=true&$select=id,displayName&$top=${PAGE_SIZE}`
    while (next !== undefined) {
      const json = await api.get(next, { consistencylevel: 'eventual' }, limits)
      const { success, data } = page.safeParse(json)
      if (!success) throw new Error(`${NAME} did not respond with a page of groups`)
      names.push(...data.value.map((group) => nameOf(group, groupName)))
      if (names.length > MAX_SOURCE_GROUPS) return names
      next = nextPage(data['@odata.nextLink'], endpoint)
    }
    return names
  }

  return { groupsOf, check: (limits) => respondsAbout(NOBODY, groupsOf, limits) }
}

/** @throws UnknownUserError for a name that would change the path (RFC 3986 section 5.2.4), or be a part of it */
function segmentOf(user: string): string {
  if (/^\.{0,2}$/.test(user)) throw new UnknownUserError(`${NAME} has no user with this name`)
  return encodeURIComponent(user)
}

interface Group {
  readonly id: string
  readonly displayName?: string | null | undefined
}

function nameOf({ id, displayName }: Group, groupName: MicrosoftGraphOptions['groupName']): string {
  const name = groupName === 'id' ? id : (displayName ?? '')
  if (name === '') throw new Error(`${NAME} has a group without ${groupName}`)
  return name
}

/** The access token goes to the API only, wherever a page may point. */
function nextPage(link: string | undefined, endpoint: string): URL | undefined {
  if (link === undefined) return undefined
  const url = URL.parse(link)
  if (url?.origin === new URL(endpoint).origin) return url
  throw new Error(`${NAME} has its next page on another server`)
}
