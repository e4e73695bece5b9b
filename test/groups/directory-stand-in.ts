/**
 * A stand-in for the APIs of cloud directories on loopback: Microsoft Graph with its token endpoint, and the
 * Directory API of Google Workspace with its own, as their documentation describes them.
 */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

import { jwtVerify } from 'jose'

import { createAuthority } from '../../certs-dev/pki.ts'

export const SECRET = 'the-secret-of-the-application'
export const ADMIN = 'admin@example.com'
export const ACCOUNT = 'gatehouse@project.iam.gserviceaccount.com'

export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export interface DirectoryStandIn {
  readonly url: string
  /** PEM. */
  readonly ca: string
  /** The JSON key of the service account. */
  readonly serviceAccountKey: string
  /** Groups by user; a user who is missing does not exist. */
  readonly users: Map<string, readonly string[]>
  /** Groups on one page. */
  pageSize: number
  /** Replies that are sent before anything else, one for each request; `hang` sends none. */
  readonly next: (Reply | 'hang')[]
  /** Requests so far, as METHOD and path with query. */
  readonly requests: string[]
  /** Access tokens that were given out. */
  tokens: number
  /** The tokens that were given out before are refused. */
  revokeTokens(): void
  /** Changes a page of groups before it is sent. */
  change: (page: Record<string, unknown>) => Record<string, unknown>
  close(): Promise<void>
}

/** For all stand-ins of a test file. */
const keys = createAuthority({ commonName: 'directories' }).then(async (authority) => ({
  authority,
  serving: await authority.issue({
    commonName: 'directory',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  }),
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }),
}))

export async function startDirectory(): Promise<DirectoryStandIn> {
  const { authority, serving, privateKey, publicKey } = await keys
  let firstValid = 1
  const server = createServer(
    { cert: serving.certificatePem, key: serving.keyPem },
    (request, response) => {
      void reply(request).then((answer) => {
        if (answer === 'hang') return
        const { status, headers = {}, body = {} } = answer
        response
          .writeHead(status, { 'content-type': 'application/json', ...headers })
          .end(typeof body === 'string' ? body : JSON.stringify(body))
      })
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function reply(request: IncomingMessage): Promise<Reply | 'hang'> {
    const body = new URLSearchParams(await text(request))
    const target = new URL(request.url ?? '', url)
    standIn.requests.push(
      `${request.method} ${target.pathname}${decodeURIComponent(target.search)}`,
    )
    const forced = standIn.next.shift()
    if (forced !== undefined) return forced
    if (request.method === 'POST') return token(target, body)
    if (!isAuthorized(request)) return { status: 401 }
    if (target.pathname.startsWith('/v1.0/users/')) return graphPage(request, target)
    return target.pathname === '/admin/directory/v1/groups' ? googlePage(target) : { status: 400 }
  }

  async function token(target: URL, body: URLSearchParams): Promise<Reply> {
    const isEntra =
      target.pathname === '/tenant/oauth2/v2.0/token' &&
      body.get('grant_type') === 'client_credentials' &&
      body.get('client_id') === 'client' &&
      body.get('client_secret') === SECRET &&
      body.get('scope') === `${url}/.default`
    const isGoogle =
      target.pathname === '/token' &&
      body.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer' &&
      (await isAssertion(body.get('assertion') ?? ''))
    if (!isEntra && !isGoogle) return { status: 400, body: { error: 'invalid_grant' } }
    standIn.tokens++
    return {
      status: 200,
      body: { access_token: `token-${standIn.tokens}`, token_type: 'Bearer', expires_in: 3599 },
    }
  }

  async function isAssertion(assertion: string): Promise<boolean> {
    try {
      const options = { issuer: ACCOUNT, audience: `${url}/token`, subject: ADMIN }
      const { payload, protectedHeader } = await jwtVerify(assertion, publicKey, options)
      const lifetime = (payload.exp ?? Infinity) - (payload.iat ?? 0)
      const scope = 'https://www.googleapis.com/auth/admin.directory.group.readonly'
      return payload['scope'] === scope && protectedHeader.kid === 'key-1' && lifetime <= 3_600
    } catch {
      return false
    }
  }

  function isAuthorized({ headers }: IncomingMessage): boolean {
    const [, number = '0'] = /^Bearer token-(\d+)$/.exec(headers.authorization ?? '') ?? []
    return Number(number) >= firstValid && Number(number) <= standIn.tokens
  }

  function graphPage({ headers }: IncomingMessage, target: URL): Reply {
    const [, user = ''] =
      /^\/v1\.0\/users\/([^/]+)\/transitiveMemberOf\/microsoft\.graph\.group$/.exec(
        target.pathname,
      ) ?? []
    const groups = standIn.users.get(decodeURIComponent(user))
    if (groups === undefined)
      return { status: 404, body: { error: { code: 'Request_ResourceNotFound' } } }
    // Without these, the cast to groups is refused.
    const { searchParams: query } = target
    if (headers['consistencylevel'] !== 'eventual' || query.get('$count') !== 'true') {
      return { status: 400, body: { error: { code: 'Request_UnsupportedQuery' } } }
    }
    const from = Number(query.get('$skiptoken') ?? 0)
    const to = from + standIn.pageSize
    query.set('$skiptoken', String(to))
    const value = groups.slice(from, to).map((id) => ({ id, displayName: `Name of ${id}` }))
    const page = { '@odata.context': url, '@odata.count': groups.length, value }
    const isLast = to >= groups.length
    return {
      status: 200,
      body: standIn.change(isLast ? page : { ...page, '@odata.nextLink': target.href }),
    }
  }

  function googlePage({ searchParams: query }: URL): Reply {
    const groups = standIn.users.get(query.get('userKey') ?? '')
    if (groups === undefined) return { status: 404, body: { error: { code: 404 } } }
    const from = Number(query.get('pageToken') ?? 0)
    const to = from + Math.min(standIn.pageSize, Number(query.get('maxResults') ?? 200))
    const listed = groups.slice(from, to).map((email) => ({ kind: 'admin#directory#group', email }))
    const page = {
      kind: 'admin#directory#groups',
      ...(listed.length === 0 ? {} : { groups: listed }),
    }
    const isLast = to >= groups.length
    return {
      status: 200,
      body: standIn.change(isLast ? page : { ...page, nextPageToken: String(to) }),
    }
  }

  const standIn: DirectoryStandIn = {
    url,
    ca: authority.certificatePem,
    serviceAccountKey: JSON.stringify({
      type: 'service_account',
      project_id: 'project',
      private_key_id: 'key-1',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: ACCOUNT,
      token_uri: `${url}/token`,
    }),
    users: new Map(),
    pageSize: 999,
    next: [],
    requests: [],
    tokens: 0,
    revokeTokens: () => void (firstValid = standIn.tokens + 1),
    change: (page) => page,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return standIn
}
