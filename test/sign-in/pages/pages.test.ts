/** The pages for browsers, over the real listener, with the development identity provider. */
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:tls'

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

import type { KeyPair } from '../../../certs-dev/pki.ts'
import { waitUntil } from '../../../dev/parts/wait-until.ts'
import { SESSION_COOKIE, SIGN_IN_COOKIE } from '../../../src/sign-in/pages/cookies.ts'
import { nextForm } from '../../support/browser.ts'
import { createPageClient, type PageClient } from '../../support/page-client.ts'
import {
  newCookieKey,
  PAGES_HOST,
  startPagesWorld,
  type PagesWorld,
} from '../../support/pages-world.ts'
import { SECRET } from '../../support/gatehouse.ts'

const crowd = {
  subject: 'crowd-1',
  preferredUsername: 'crowd',
  email: 'crowd@example.com',
  groups: Array.from({ length: 400 }, (_, i) => `team-${i}-of-a-company-with-very-long-names`),
}
const evil = {
  subject: 'evil-1',
  preferredUsername: '<script>alert(1)</script>',
  email: 'evil@example.com',
  groups: ['"><img src=x onerror=alert(1)>'],
}
const master = { ...evil, subject: 'master-1', preferredUsername: 'master', groups: ['a\u0000b'] }
const grace = {
  subject: 'grace-1',
  preferredUsername: 'grace',
  email: 'grace@example.com',
  groups: ['engineers'],
}

let world: PagesWorld
let start = ''

beforeAll(async () => {
  world = await startPagesWorld({ accounts: [grace, crowd, evil, master] })
  start = `${world.pagesURL}/gatehouse/`
})

afterAll(async () => {
  await world.close()
})

function browser(options: { readonly http2?: boolean } = {}): PageClient {
  const made = createPageClient({ ca: [world.gatehouse.ca, world.providerCA], ...options })
  onTestFinished(() => made.close())
  return made
}

async function signedIn(account = 'grace'): Promise<PageClient> {
  const client = browser()
  const { status } = await client.follow(`${start}sign-in`, account)
  expect(status).toBe(200)
  return client
}

const cookieOf = (client: PageClient, name: string): string | undefined =>
  client.cookies.get(PAGES_HOST)?.get(name)

describe('the way in', () => {
  test('the root of the API leads a browser without a credential to the pages', async () => {
    const { status, headers } = await browser().ask(`${world.apiURL}/`)
    expect([status, headers['location']]).toEqual([303, start])
  })

  test.for([
    ['kubectl', { accept: 'application/json, */*' }],
    ['a browser with a token', { authorization: 'Bearer x' }],
  ] as const)('the root of the API is the Kubernetes API for %s', async ([, headers]) => {
    const { status, text } = await browser().ask(`${world.apiURL}/`, { headers })
    expect([status, JSON.parse(text)]).toMatchObject([401, { kind: 'Status' }])
  })

  test.for([false, true])('signs in, and shows the user (HTTP/2: %j)', async (http2) => {
    const client = browser({ http2 })
    const first = await client.ask(start)
    expect(first.text).toContain('Sign in')
    expect(first.text).not.toContain('grace')
    const { url, text } = await client.follow(`${start}sign-in`, 'grace')
    expect(url).toBe(start)
    expect(text).toContain('oidc:grace')
    expect(text).toContain('<li>oidc:engineers</li>')
    expect(text).toContain('<li>system:authenticated</li>')
    expect(text.replaceAll(/<\/?span[^>]*>/g, '')).toMatch(
      new RegExp(
        `gatehouse login ${world.apiURL} --ca-fingerprint (?:[0-9A-F]{2}:){31}[0-9A-F]{2}`,
      ),
    )
  })

  test('the pages are never stored, framed or scripted', async () => {
    for (const path of ['', 'signed-out', 'callback', 'nowhere']) {
      const { headers, text } = await browser().ask(start + path)
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        'cross-origin-opener-policy': 'same-origin',
      })
      const policy = String(headers['content-security-policy'])
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(text).not.toMatch(/<script|\sstyle=|\son[a-z]+=/)
    }
  })
})

describe('the name of the pages', () => {
  const atPages = async (path: string, headers = {}): Promise<[number, string]> => {
    const { status, text } = await browser().ask(world.pagesURL + path, { headers })
    return [status, text]
  }

  test.for(['/api', '/api/v1/namespaces/x/pods/y/proxy/', '/gatehouse/api/whoami', '/openapi/v2'])(
    'serves nothing of the Kubernetes API, whatever the credential: %s',
    async (path) => {
      // What a pod serves must not share an origin with the pages.
      const authorization = `Bearer ${await world.provider.idToken('grace-1')}`
      const before = world.api.received.length
      const [status, text] = await atPages(path, { authorization, accept: '*/*' })
      expect([status, JSON.parse(text)]).toMatchObject([404, { reason: 'NotFound' }])
      expect(text).toContain(`the Kubernetes API is at ${world.apiURL}`)
      expect(world.api.received).toHaveLength(before)
    },
  )

  test('requests no client certificate, and the name of the API does', async () => {
    expect(await isAskedForCertificate(PAGES_HOST)).toBe(false)
    expect(await isAskedForCertificate('localhost')).toBe(true)
    expect(await isAskedForCertificate(PAGES_HOST.toUpperCase())).toBe(false)
    expect(await isAskedForCertificate('other.localhost')).toBe(true)
  })

  test.for([
    [PAGES_HOST, '/api', 'localhost'],
    [PAGES_HOST.toUpperCase(), '/api', 'LOCALHOST'],
    [PAGES_HOST, '/api', `${PAGES_HOST}.`],
    [PAGES_HOST, '/', 'localhost'],
    [PAGES_HOST, '/gatehouse/api/whoami', 'localhost'],
    [PAGES_HOST, '/gatehouse/api/locks', 'localhost'],
  ] as const)(
    'a connection to it (%s) serves nothing of the API: %s at %s',
    async ([name, path, host]) => {
      // Otherwise users of certificates would be nobody there, and network policies by name would not hold.
      const certificate = await world.gatehouse.certificate()
      const token = await world.provider.idToken('grace-1')
      const before = world.api.received.length
      const response = await rawRequest(
        name,
        certificate,
        host,
        path,
        `Authorization: Bearer ${token}`,
      )
      expect(response).toMatch(/^HTTP\/1\.1 421 /)
      expect(response).toContain(`open another one for ${world.apiURL}`)
      expect(world.api.received).toHaveLength(before)
    },
  )

  test('over HTTP/2, such a request is refused alone, and the pages go on', async () => {
    const { ca, port } = world.gatehouse
    const session = connectHttp2(`https://127.0.0.1:${port}`, {
      ...{ ca, servername: PAGES_HOST },
      checkServerIdentity: () => undefined,
    })
    onTestFinished(() => session.close())
    const statusOf = async (authority: string, path: string): Promise<unknown> => {
      const stream = session.request({ ':authority': `${authority}:${port}`, ':path': path })
      const [headers] = (await once(stream.resume(), 'response')) as [Record<string, unknown>]
      return headers[':status']
    }
    expect(await statusOf('localhost', '/api')).toBe(421)
    expect(await statusOf(PAGES_HOST, '/gatehouse/')).toBe(200)
  })

  test('the pages take no certificate, where one was requested', async () => {
    const certificate = await world.gatehouse.certificate()
    const response = await rawRequest('localhost', certificate, PAGES_HOST, '/gatehouse/')
    expect(response).toMatch(/^HTTP\/1\.1 200 /)
    expect(response).not.toContain('ada')
  })
})

describe('cookies', () => {
  test('have the prefix __Host-, and no script or other site gets them', async () => {
    const client = browser()
    const { headers, setCookies } = await client.ask(`${start}sign-in`)
    const [cookie = ''] = setCookies
    expect(cookie).toMatch(
      /^__Host-gatehouse-sign-in=[\w.-]+; Path=\/; Max-Age=600; Secure; HttpOnly; SameSite=Lax$/,
    )
    const issuer = new URL(String(headers['location']))
    expect(issuer.origin).toBe(world.provider.issuer)
    expect(issuer.searchParams.get('code_challenge_method')).toBe('S256')
    expect(issuer.searchParams.get('redirect_uri')).toBe(`${start}callback`)
    // Nothing of what the issuer must not know, and of what the browser must not read.
    expect(cookie).not.toContain(issuer.searchParams.get('state'))
  })

  test('a session is below 4 KB, however many groups the user has', async () => {
    const client = await signedIn('crowd')
    const cookie = `${SESSION_COOKIE}=${cookieOf(client, SESSION_COOKIE)}`
    expect(cookie.length).toBeLessThan(4_000)
    const { text } = await client.ask(start)
    expect(text).toContain('oidc:team-0-of-a-company')
    expect(text).toMatch(/and \d+ more, which do not fit here/)
  })

  test.for(['sign-in', 'session'])('a changed cookie is none (%s)', async (which) => {
    const client = await signedIn()
    const name = which === 'session' ? SESSION_COOKIE : SIGN_IN_COOKIE
    if (which === 'sign-in') await client.ask(`${start}sign-in`)
    const jar = client.cookies.get(PAGES_HOST)
    const value = jar?.get(name) ?? ''
    const at = value.length - 30
    jar?.set(name, value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1))
    const path = which === 'session' ? '' : 'callback?code=x&state=y'
    const { text } = await client.ask(start + path)
    expect(text).not.toContain('oidc:grace</')
    expect(text).toContain(which === 'session' ? 'Sign in</a>' : 'has not started to sign in')
  })

  test('a cookie of a sign-in is not one of a session', async () => {
    const client = browser()
    await client.ask(`${start}sign-in`)
    const jar = client.cookies.get(PAGES_HOST)
    jar?.set(SESSION_COOKIE, jar.get(SIGN_IN_COOKIE) ?? '')
    expect((await client.ask(start)).text).toContain('Sign in</a>')
  })

  test.for(['/api', '/gatehouse/api/whoami', '/'])(
    'a session is not a credential of the API: %s',
    async (path) => {
      const client = await signedIn()
      const cookie = `${SESSION_COOKIE}=${cookieOf(client, SESSION_COOKIE)}`
      const { status, text } = await client.ask(world.apiURL + path, {
        headers: { cookie, accept: 'application/json' },
      })
      expect([status, JSON.parse(text)]).toMatchObject([401, { reason: 'Unauthorized' }])
    },
  )

  test('a new key encrypts, the earlier one still decrypts, until it is removed', async () => {
    const client = await signedIn()
    const [earlier = ''] = (await readFile(world.cookieKeysFile, 'utf8')).split('\n')
    const [next, shows] = [newCookieKey(), async () => (await client.ask(start)).text]
    await writeFile(world.cookieKeysFile, `${next}\n${earlier}\n`, SECRET)
    world.gatehouse.gatehouse.reload()
    world.gatehouse.gatehouse.reload()
    expect(await shows()).toContain('oidc:grace')
    await writeFile(world.cookieKeysFile, `# the earlier one is gone\n${next}\n`, SECRET)
    await waitUntil('the keys are read again', async () => {
      world.gatehouse.gatehouse.reload()
      return !(await shows()).includes('oidc:grace')
    })
  })
})

describe('a sign-in', () => {
  test('is finished only in the browser that began it', async () => {
    const [attacker, victim] = [browser(), browser()]
    const callback = await stoppedAtCallback(attacker)
    await victim.ask(`${start}sign-in`)
    for (const other of [victim, browser()]) {
      const { status, setCookies } = await other.ask(callback)
      expect(status).toBe(400)
      expect(setCookies.join()).not.toContain(`${SESSION_COOKIE}=ey`)
    }
  })

  test('is finished only once', async () => {
    const client = browser()
    const callback = await stoppedAtCallback(client)
    const jar = client.cookies.get(PAGES_HOST)
    const pending = jar?.get(SIGN_IN_COOKIE) ?? ''
    expect((await client.ask(callback)).status).toBe(303)
    expect(jar?.has(SIGN_IN_COOKIE)).toBe(false)
    jar?.set(SIGN_IN_COOKIE, pending)
    const { status, text } = await client.ask(callback)
    expect([status, text]).toEqual([400, expect.stringContaining('sign in again')])
  })

  test.for(['state', 'iss'])('with another %s is refused', async (parameter) => {
    const client = browser()
    const callback = new URL(await stoppedAtCallback(client))
    callback.searchParams.set(parameter, 'https://evil.example')
    const { status, text } = await client.ask(callback.href)
    expect([status, text]).toEqual([400, expect.stringContaining('is not for this sign-in')])
  })

  test('that the user cancels says so', async () => {
    const { status, text } = await browser().follow(`${start}sign-in`, '')
    expect([status, text]).toEqual([403, expect.stringContaining('canceled')])
  })

  test('cannot be started by another site', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' }
    const {
      status,
      headers: received,
      setCookies,
    } = await browser().ask(`${start}sign-in`, { headers })
    expect([status, received['location'], setCookies]).toEqual([303, '/gatehouse/', []])
  })

  test('of a user whom the Kubernetes API refuses gives no session', async () => {
    const client = browser()
    const { status, text } = await client.follow(`${start}sign-in`, 'master')
    expect(status).toBe(403)
    expect(text).toContain('Identity rejected')
    expect(cookieOf(client, SESSION_COOKIE)).toBeUndefined()
  })

  test('names of users cannot become markup', async () => {
    const { text } = await (await signedIn(evil.preferredUsername)).ask(start)
    expect(text).toContain('oidc:&lt;script&gt;alert(1)&lt;/script&gt;')
    expect(text).not.toContain('<script')
    expect(text).not.toContain('<img')
  })

  test('is audited with the user, and without code, state or token', async () => {
    await signedIn()
    const [event] = await world.gatehouse.eventsWhere(
      ({ requestURI, user }) => requestURI.includes('/callback') && user.username !== undefined,
    )
    expect(event).toMatchObject({
      user: { username: 'oidc:grace', groups: ['oidc:engineers', 'system:authenticated'] },
      responseStatus: { code: 303 },
      annotations: {
        'authentication.gatehouse/session': expect.any(String) as string,
        'authentication.gatehouse/issuer': world.provider.issuer,
      },
    })
    expect(event?.requestURI).toMatch(/^\/gatehouse\/callback\?/)
    expect(event?.requestURI).not.toMatch(/code=(?!\[redacted\])|state=(?!\[redacted\])/)
  })
})

describe('the kubeconfig', () => {
  test('is only for who has signed in', async () => {
    const { status, headers } = await browser().ask(`${start}kubeconfig`)
    expect([status, headers['location']]).toEqual([303, '/gatehouse/'])
  })

  test('is downloaded, without a secret', async () => {
    const { status, headers, text } = await (await signedIn()).ask(`${start}kubeconfig`)
    expect([status, headers['content-disposition'], headers['cache-control']]).toEqual([
      200,
      'attachment; filename="production.kubeconfig"',
      'no-store',
    ])
    expect(text).toContain(`server: ${world.apiURL}`)
    expect(text).not.toMatch(/token:|ey[A-Z]/)
  })
})

describe('the issuer', () => {
  test('ends the session of the page when it ends its own', async () => {
    const client = await signedIn()
    const other = await signedIn()
    const end = await client.ask(`${world.provider.issuer}/session/end`)
    const [, xsrf = ''] = /name="xsrf" value="([^"]+)"/.exec(end.text) ?? []
    const form = new URLSearchParams({ xsrf, logout: 'yes' }).toString()
    await client.ask(`${world.provider.issuer}/session/end/confirm`, { form })
    await waitUntil('the session has ended', async () =>
      (await client.ask(start)).text.includes('Sign in</a>'),
    )
    expect((await other.ask(start)).text).toContain('oidc:grace')
    const [event] = await world.gatehouse.eventsWhere(
      ({ requestURI }) => requestURI === '/gatehouse/backchannel-logout',
    )
    expect(event).toMatchObject({ responseStatus: { code: 200 } })
  })

  test.for([
    ['no token', 'x=y'],
    ['two tokens', 'logout_token=a&logout_token=b'],
    ['a token that is none', 'logout_token=x.y.z'],
    ['more than a token', `logout_token=${'x'.repeat(20_000)}`],
  ] as const)('is not whoever sends %s', async ([, form]) => {
    const { status, text } = await browser().ask(`${start}backchannel-logout`, {
      form,
      headers: { accept: 'application/json' },
    })
    expect([status, JSON.parse(text)]).toMatchObject([400, { reason: 'BadRequest' }])
  })

  test('its ID token is not a logout token', async () => {
    const form = `logout_token=${await world.provider.idToken('grace-1')}`
    const { status } = await browser().ask(`${start}backchannel-logout`, { form })
    expect(status).toBe(400)
  })
})

describe('signing out', () => {
  const own = (): Record<string, string> => ({
    'sec-fetch-site': 'same-origin',
    origin: world.pagesURL,
  })

  test('ends the session, and leads to the issuer with the ID token', async () => {
    const client = await signedIn()
    const before = cookieOf(client, SESSION_COOKIE) ?? ''
    const { status, text } = await client.ask(`${start}sign-out`, {
      method: 'POST',
      headers: own(),
    })
    expect(status).toBe(200)
    const [, to = ''] = /content="0; url=([^"]+)"/.exec(text) ?? []
    const url = new URL(to.replaceAll('&amp;', '&'))
    expect(url.origin).toBe(world.provider.issuer)
    expect(url.searchParams.get('post_logout_redirect_uri')).toBe(`${start}signed-out`)
    expect(url.searchParams.get('id_token_hint')).toMatch(/^ey/)
    expect(cookieOf(client, SESSION_COOKIE)).toBeUndefined()
    // A copy of the cookie is worth nothing any more.
    client.cookies.get(PAGES_HOST)?.set(SESSION_COOKIE, before)
    expect((await client.ask(start)).text).toContain('Sign in</a>')
  })

  test.for([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a sibling', { 'sec-fetch-site': 'same-site', origin: 'https://other.localhost' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['an opaque origin', { origin: 'null' }],
    ['nobody knows whom', {}],
  ] as const)('is refused when it comes from %s', async ([, headers]) => {
    const client = await signedIn()
    const { status } = await client.ask(`${start}sign-out`, { method: 'POST', headers })
    expect(status).toBe(403)
    expect((await client.ask(start)).text).toContain('oidc:grace')
  })

  test('is not done by a link', async () => {
    const { status, headers } = await (await signedIn()).ask(`${start}sign-out`)
    expect([status, headers['allow']]).toEqual([405, 'POST'])
  })
})

describe('a refusal that a browser reads', () => {
  test.for(['text/html', 'application/json'])(
    'closes the connection whose body is not read (%s)',
    async (accept) => {
      const { status, headers } = await browser().ask(start, { form: 'x=y', headers: { accept } })
      expect([status, headers['allow'], headers['connection']]).toEqual([405, 'GET, HEAD', 'close'])
      expect(headers['content-type']).toContain(accept)
    },
  )

  test('is never stored, and recorded as any other', async () => {
    const { status, headers, text } = await browser().ask(`${start}callback?code=x&state=lost`)
    expect([status, headers['cache-control']]).toEqual([400, 'no-store'])
    const [, auditID = ''] = /audit ID <code>([^<]+)</.exec(text) ?? []
    const [event] = await world.gatehouse.eventsWhere((one) => one.auditID === auditID)
    expect(event).toMatchObject({
      responseStatus: {
        code: 400,
        reason: 'BadRequest',
        message: expect.stringContaining('has not started to sign in') as string,
      },
    })
  })
})

/** Signs in up to the address to which the issuer sends the browser back. */
async function stoppedAtCallback(client: PageClient): Promise<string> {
  let response = await client.ask(`${start}sign-in`)
  for (let i = 0; i < 20; i++) {
    const { location } = response.headers
    if (typeof location !== 'string') {
      const next = nextForm(response.text, 'grace', '')
      if (next === undefined || typeof next === 'string') throw new Error(response.text)
      response = await client.ask(new URL(next.action, response.url).href, { form: next.fields })
      continue
    }
    const at = new URL(location, response.url).href
    if (at.startsWith(`${start}callback`)) return at
    response = await client.ask(at)
  }
  throw new Error('the issuer did not send the browser back')
}

/** Whether the server asks a client for a certificate: then, and only then, it names signature algorithms. */
function isAskedForCertificate(servername: string): Promise<boolean> {
  const { ca, port } = world.gatehouse
  return new Promise((resolve, reject) => {
    const checkServerIdentity = (): undefined => undefined
    const options = { host: '127.0.0.1', port, servername, ca, checkServerIdentity }
    const socket = connect(options, () => {
      resolve(socket.getSharedSigalgs().length > 0)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

/** One request on a connection of its own, whose server name is not that of `Host`. */
function rawRequest(
  servername: string,
  { certificatePem: cert, keyPem: key }: KeyPair,
  host: string,
  path: string,
  field = 'Accept: */*',
): Promise<string> {
  const { ca, port } = world.gatehouse
  return new Promise((resolve, reject) => {
    const checkServerIdentity = (): undefined => undefined
    const options = { host: '127.0.0.1', port, servername, ca, cert, key, checkServerIdentity }
    const socket = connect(options, () => {
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${field}\r\nConnection: close\r\n\r\n`,
      )
    })
    let received = ''
    socket.on('data', (chunk) => (received += String(chunk)))
    socket.on('end', () => resolve(received))
    socket.on('error', reject)
  })
}
