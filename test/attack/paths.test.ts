/**
 * Request targets that could be read in two ways, and the API server's own proxy in every spelling
 * (k8s.io/apiserver requestinfo.go; CVE-2020-8555, CVE-2022-3162): each is authorized as its canonical
 * form, or refused with 400 before anything reaches the API server. The rules are the shipped ones.
 */
import { readFile } from 'node:fs/promises'

import { parse } from 'yaml'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import {
  ERROR,
  headers,
  SETTING,
  type Fields,
  type Http2Response,
} from '../support/http2-frames.ts'
import { readResponses } from '../support/raw.ts'

let attack: Attack
let bearer: string

beforeAll(async () => {
  const rules: unknown = parse(await readFile('config/rules.yaml', 'utf8'))
  attack = await startAttack({ rules })
  bearer = await attack.bearer()
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
})

function line(method: string, target: string, fields = ''): string {
  return `${method} ${target} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}${fields}\r\n`
}

/** Sends one request over HTTP/2; `changes` replaces or adds fields. */
async function overHttp2(changes: Readonly<Record<string, string>>): Promise<Http2Response> {
  const connection = await attack.connectHttp2()
  const fields: Fields = (await attack.fields('/')).map(([name, value]) => [
    name,
    changes[name] ?? value,
  ])
  const added: Fields = Object.entries(changes).filter(([name]) =>
    fields.every(([known]) => known !== name),
  )
  connection.send(headers(1, [...added, ...fields]))
  const response = await connection.response(1)
  connection.raw.destroy()
  return response
}

const PODS = '/api/v1/namespaces/d/pods'

/** Targets with more than one reading. */
const REFUSED = [
  '//api/v1/pods',
  '///api/v1/pods',
  '/api//v1/pods',
  '/api/v1/namespaces//pods',
  '/api/v1/pods//',
  `${PODS}//exec?fieldSelector=metadata.name=p`,
  '/api/v1/nodes//proxy/x?fieldSelector=metadata.name=n1',
  '/api/v1/namespaces/kube-system%2Fsecrets',
  '/api/v1/namespaces/kube-system%2fsecrets',
  '/api%2Fv1%2Fsecrets',
  '/%61pi/v1/secrets',
  '/api/v1/%73ecrets',
  `${PODS}/foo%2Fexec`,
  `${PODS}/foo%252Fexec`,
  `${PODS}/foo%5Cexec`,
  `${PODS}/foo\\exec`,
  `${PODS}/../secrets`,
  `${PODS}/%2e%2e/secrets`,
  `${PODS}/%2E%2E/secrets`,
  `${PODS}/.%2E/secrets`,
  `${PODS}/./secrets`,
  '/api/v1/namespaces/../secrets',
  '/healthz/../api/v1/secrets',
  '/./api/v1/secrets',
  '/..',
  `${PODS};a=b`,
  `${PODS}/p;/exec`,
  `${PODS}/p%3Bx`,
  `${PODS}/p%00`,
  `${PODS}/p%0A`,
  `${PODS}/p%0d%0aX-Injected:%20y`,
  `${PODS}/p%7F`,
  `${PODS}/p%C2%85`,
  `${PODS}/p%FF`,
  `${PODS}/p%C0%AF`,
  `${PODS}/p%ED%A0%80`,
  `${PODS}/p%c3%a4`,
  `${PODS}/p%zz`,
  `${PODS}/p%`,
  `${PODS}/p%4`,
  `${PODS}/p%u002e`,
  `${PODS}/p\xe4`,
  `${PODS}/p"`,
  `${PODS}/<p>`,
  `${PODS}/{p}`,
  `${PODS}/p|q`,
  `${PODS}/p^q`,
  `${PODS}/p\`q`,
  `${PODS}#?watch=1`,
  '/healthz#/secret',
  '/healthz?#/secret',
  `${PODS}?watch=1;limit=1`,
  `${PODS}?watch=%zz`,
  `${PODS}?a=%00`,
  `${PODS}?a=%FF`,
  `${PODS}?a=\\`,
  `${PODS}?a="`,
  'http://gatehouse/api/v1/secrets',
  'https://evil.example/api/v1/secrets',
  'HTTP://gatehouse/api/v1/secrets',
  'foo:/api/v1/secrets',
  'api/v1/secrets',
  'gatehouse:443',
  '@evil.example/api',
  '*',
]

describe('a target with two readings:', () => {
  test.for(REFUSED)('%s is refused with 400 over HTTP/1.1 and not forwarded', async (target) => {
    const { value, received, events } = await attack.watching(() =>
      attack.send(line('GET', target)),
    )
    expect(value.response.status).toBe(400)
    expect(JSON.parse(value.response.body)).toMatchObject({ kind: 'Status', reason: 'BadRequest' })
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 400 } }])
  })

  test.for(REFUSED)('%s is refused with 400 over HTTP/2 and not forwarded', async (target) => {
    const { value, received, events } = await attack.watching(() => overHttp2({ ':path': target }))
    expect(received).toEqual([])
    // nghttp2 treats a target that is not a path as malformed, so there is no request to audit.
    const isMalformed = value.status === undefined
    expect(isMalformed ? value.reset : value.status).toBe(isMalformed ? ERROR.PROTOCOL_ERROR : 400)
    expect(events.map(({ responseStatus }) => responseStatus?.code)).toEqual(
      isMalformed ? [] : [400],
    )
  })

  test('a query with more parameters than Go reads is refused', async () => {
    const { value, received } = await attack.watching(() =>
      attack.send(line('GET', `${PODS}?${'a&'.repeat(10_000)}a`)),
    )
    expect(value.response.status).toBe(400)
    expect(received).toEqual([])
  })

  test('a target longer than the limit for the request head is refused with 431', async () => {
    const { value, received } = await attack.watching(() =>
      attack.send(line('GET', `/${'a'.repeat(200_000)}`)),
    )
    expect(value).toMatchObject({ response: { status: 431 }, closed: true })
    expect(received).toEqual([])
  })
})

const PROXIES = [
  '/api/v1/namespaces/x/services/y/proxy',
  '/api/v1/namespaces/x/services/y/proxy/',
  '/api/v1/namespaces/x/services/y/proxy/a/b',
  '/api/v1/namespaces/x/services/y:80/proxy/',
  '/api/v1/namespaces/x/services/https:y:443/proxy',
  '/api/v1/namespaces/x/services/https%3Ay%3A443/proxy/a',
  '/api/v1/namespaces/x/pods/p/proxy',
  '/api/v1/namespaces/x/pods/p:8080/proxy/?a=b',
  '/api/v1/nodes/n/proxy/exec/x/p/c',
  '/api/v1/nodes/n:10250/proxy/',
  '/api/v1/proxy/nodes/n',
  '/api/v1/proxy/nodes/n/',
  '/api/v1/proxy/namespaces/x/services/y/',
  '/api/v1/proxy/namespaces/x/pods/p/a/b',
  '/api/v1/watch/namespaces/x/services/y/proxy',
  '/api/v2/namespaces/x/services/y/proxy',
]

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

describe('the rules deny the API server’s proxy:', () => {
  test.for(PROXIES)('%s is forbidden for every method', async (target) => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connect()
      connection.write(
        METHODS.filter((method) => method !== 'HEAD')
          .map((method) => line(method, target))
          .join('') + line('GET', '/version', 'Connection: close\r\n'),
      )
      const statuses = (await readResponses(connection)).map(({ status }) => status)
      return [...statuses, (await overHttp2({ ':method': 'HEAD', ':path': target })).status]
    })
    expect(value).toEqual([403, 403, 403, 403, 403, 403, 200, 403])
    expect(received.map(({ url }) => url)).toEqual(['/version'])
    expect(events.filter(({ responseStatus }) => responseStatus?.code === 403)).toHaveLength(7)
  })

  test.for(PROXIES)('%s is forbidden as an upgrade', async (target) => {
    const upgrade =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    const { value, received } = await attack.watching(() =>
      attack.send(line('GET', target, upgrade)),
    )
    expect(value).toMatchObject({ response: { status: 403 }, closed: true })
    expect(received).toEqual([])
  })

  test.for([
    '/api/v1/namespaces/x/services/y//proxy/',
    '/api/v1/namespaces/x/services/y/./proxy/',
    '/api/v1/namespaces/x/services/z/../y/proxy/',
    '/api/v1/namespaces/x/services/y%2Fproxy',
    '/api/v1/namespaces/x/services/y%2fproxy',
    '/api/v1/namespaces/x/services/y%252Fproxy',
    '/api/v1/namespaces/x/services/y/%70roxy',
    '/api/v1/namespaces/x/services/y/%2570roxy',
    '/api/v1/namespaces/x/services/y/pro%78y/',
    '/api/v1/namespaces/x/services/y\\proxy',
    '/api/v1/namespaces/x/services/y%5Cproxy',
    '/api/v1/namespaces/x/services/y;a/proxy',
    '/api/v1/namespaces/x/services/y/proxy;a',
    '/api/v1/namespaces/x/services/y/proxy%00',
    '/api/v1/namespaces/x/services/y/proxy%09',
    '/api/v1/namespaces/x/services/y/proxy/%2e%2e/%2e%2e',
    '/api/v1//proxy/nodes/n',
    '/api/v1/%70roxy/nodes/n',
    'https://gatehouse/api/v1/namespaces/x/services/y/proxy/',
  ])('%s is refused with 400', async (target) => {
    const { value, received } = await attack.watching(async () => [
      (await attack.send(line('GET', target))).response.status,
      (await overHttp2({ ':path': target })).status ?? 400,
    ])
    expect(value).toEqual([400, 400])
    expect(received).toEqual([])
  })
})

describe('a target that only resembles the proxy:', () => {
  test.for([
    '/api/v1/namespaces/d/pods/proxy',
    '/api/v1/namespaces/d/services/proxy',
    '/api/v1/namespaces/d/configmaps/proxy',
    '/api/v1/namespaces/proxy/services',
    '/api/v1/namespaces/proxy/pods/proxy/log',
    '/api/v1/pods?labelSelector=app=proxy',
    '/api?x=/api/v1/namespaces/x/services/a/proxy',
    '/apis/example.com/v1/namespaces/d/widgets/w/proxy',
    // The API server's names are case-sensitive: it would respond with 404.
    '/api/v1/namespaces/x/services/y/PROXY',
    '/API/v1/namespaces/x/services/y/proxy',
    '/api/v1/pods/',
    '/api/v1/pods?fieldSelector=metadata.name%3Dp&limit=5',
    '/api/v1/namespaces/d/pods/p/exec?command=sh&command=-c&command=a%0Ab',
    '/api/v1/namespaces/d/configmaps/%C3%A4',
    '/healthz',
    '/',
  ])('%s is forwarded byte for byte', async (target) => {
    const { value, received } = await attack.watching(async () => [
      (await attack.send(line('GET', target))).response.status,
      (await overHttp2({ ':path': target })).status,
    ])
    expect(value).toEqual([200, 200])
    expect(received.map(({ url }) => url)).toEqual([target, target])
  })
})

describe('an unsupported method or form:', () => {
  test.for([
    'gatehouse:443',
    '127.0.0.1:6443',
    '/api/v1/namespaces/x/services/y/proxy',
    'https://gatehouse/api/v1/pods',
    '*',
  ])('CONNECT %s is refused, and bytes after it are not forwarded', async (target) => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connect()
      connection.write(line('CONNECT', target) + line('GET', '/version'))
      return readResponses(connection)
    })
    expect(value.map(({ status }) => status)).toEqual([405])
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 405 } }])
  })

  test('CONNECT over HTTP/2 is refused', async () => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connectHttp2()
      const fields = (await attack.fields('/')).filter(
        ([name]) => name !== ':path' && name !== ':scheme',
      )
      connection.send(
        headers(
          1,
          fields.map(([name, value]) => [name, name === ':method' ? 'CONNECT' : value]),
        ),
      )
      const response = await connection.response(1)
      connection.raw.destroy()
      return response
    })
    expect(value).toMatchObject({ status: 405 })
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 405 } }])
  })

  test('extended CONNECT (RFC 8441) is neither offered nor accepted', async () => {
    const { value, received } = await attack.watching(() =>
      overHttp2({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/api/v1/pods' }),
    )
    expect(value.status).toBeUndefined()
    expect(value.reset).toBe(ERROR.PROTOCOL_ERROR)
    expect(received).toEqual([])
    const connection = await attack.connectHttp2()
    await connection.until((frames) => frames.length > 0)
    const [settings] = connection.frames
    connection.raw.destroy()
    const offered = new Map<number, number>()
    for (let at = 0; at < settings!.payload.length; at += 6) {
      offered.set(settings!.payload.readUInt16BE(at), settings!.payload.readUInt32BE(at + 2))
    }
    expect(offered.get(SETTING.ENABLE_CONNECT_PROTOCOL) ?? 0).toBe(0)
  })

  test.for(['TRACE', 'TRACK', 'PROPFIND', 'SEARCH', 'PURGE'])('%s is refused', async (method) => {
    const { value, received } = await attack.watching(async () => [
      (await attack.send(line(method, '/api/v1/pods'))).response.status,
      (await overHttp2({ ':method': method, ':path': '/api/v1/pods' })).status,
    ])
    const expected = method === 'TRACE' ? 405 : 400
    expect(value).toEqual([expected, expected])
    expect(received).toEqual([])
  })

  test('OPTIONS * is refused over HTTP/1.1 and HTTP/2', async () => {
    const { value, received } = await attack.watching(async () => [
      (await attack.send(line('OPTIONS', '*'))).response.status,
      (await overHttp2({ ':method': 'OPTIONS', ':path': '*' })).status,
    ])
    expect(value).toEqual([400, 400])
    expect(received).toEqual([])
  })
})

test('without a credential the response for a forbidden path is the same as for others', async () => {
  const { value } = await attack.watching(async () => {
    const ask = async (target: string) =>
      (await attack.send(`GET ${target} HTTP/1.1\r\nHost: gatehouse\r\n\r\n`)).response
    return [await ask(PROXIES[0]!), await ask('/api/v1/pods'), await ask('/nothing/there')]
  })
  expect(value.map(({ status }) => status)).toEqual([401, 401, 401])
  expect(new Set(value.map(({ body }) => body)).size).toBe(1)
})
