/**
 * Shows why Gatehouse is not built on http-proxy, and that these attacks can succeed: the same bytes are
 * sent to both, in front of the same API server.
 */
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { headerValues, type ReceivedRequest } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import type { PeerSettings } from '../support/http-proxy-peer.ts'
import { startProgram, type RunningProgram } from '../support/program.ts'
import { RAW_OK, startRawApiServer, type RawApiServer } from '../support/raw-api-server.ts'
import { responseHeader, connectRaw, readResponse, type RawResponse } from '../support/raw.ts'

const PATH = '/api/v1/namespaces/d/pods'

let api: RawApiServer
let attack: Attack
let bearer: string
let settings: PeerSettings

beforeAll(async () => {
  api = await startRawApiServer()
  attack = await startAttack({ api })
  bearer = await attack.bearer()
  const { gatehouse } = attack
  settings = {
    target: api.url,
    ca: api.authority.certificatePem,
    client: { cert: api.gatehouse.certificatePem, key: api.gatehouse.keyPem },
    serving: {
      cert: await readFile(gatehouse.file('serving.crt'), 'utf8'),
      key: await readFile(gatehouse.file('serving.key'), 'utf8'),
    },
  }
})

beforeEach(() => {
  api.script = ({ write }) => write(RAW_OK)
})

afterAll(async () => {
  await attack.close()
  await api.close()
})

interface Outcome {
  /** Undefined when the connection ended without a response. */
  readonly response: RawResponse | undefined
  readonly received: readonly ReceivedRequest[]
}

interface Peer extends Outcome {
  readonly program: RunningProgram
}

async function send(port: number, bytes: string): Promise<Outcome> {
  const before = api.received.length
  const connection = await connectRaw({ port, ca: attack.gatehouse.ca })
  connection.write(bytes)
  const response = await readResponse(connection).catch(() => undefined)
  connection.destroy()
  return { response, received: api.received.slice(before) }
}

async function byHttpProxy(bytes: string): Promise<Peer> {
  const program = startProgram(process.execPath, ['test/support/http-proxy-peer.ts'], {
    cwd: process.cwd(),
    env: {},
  })
  program.write(JSON.stringify(settings))
  program.endInput()
  const port = Number(/^port (\d+)$/m.exec(await program.until(/^port \d+$/m))![1])
  return { ...(await send(port, bytes)), program }
}

const byGatehouse = (bytes: string): Promise<Outcome> => send(attack.gatehouse.port, bytes)

function get(target: string, fields = ''): string {
  return `GET ${target} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}${fields}\r\n`
}

function values({ received }: Outcome, name: string): string[] {
  return received.flatMap((one) => headerValues(one, name))
}

describe('http-proxy forwards', () => {
  test('groups that the client adds to the user; Gatehouse refuses the request', async () => {
    const bytes = get(PATH, 'Impersonate-Group: system:masters\r\n')
    const peer = await byHttpProxy(bytes)
    expect(peer.response?.status).toBe(200)
    expect(values(peer, 'impersonate-user')).toEqual(['oidc:ada'])
    expect(values(peer, 'impersonate-group')).toEqual(['system:masters'])

    const own = await byGatehouse(bytes)
    expect(own.response?.status).toBe(403)
    expect(own.received).toEqual([])
  })

  test('the identity headers of another proxy; Gatehouse drops them', async () => {
    const bytes = get(PATH, 'X-Remote-User: root\r\nX-Remote-Group: system:masters\r\n')
    const peer = await byHttpProxy(bytes)
    expect(values(peer, 'x-remote-user')).toEqual(['root'])
    expect(values(peer, 'x-remote-group')).toEqual(['system:masters'])

    const own = await byGatehouse(bytes)
    expect(values(own, 'impersonate-user')).toEqual(['oidc:ada'])
    expect(values(own, 'x-remote-user')).toEqual([])
    expect(values(own, 'x-remote-group')).toEqual([])
  })

  test('the user’s credential; Gatehouse drops it', async () => {
    const token = bearer.slice('Authorization: '.length).trim()
    expect(values(await byHttpProxy(get(PATH)), 'authorization')).toEqual([token])
    const own = await byGatehouse(get(PATH))
    expect(own.received).toHaveLength(1)
    expect(values(own, 'authorization')).toEqual([])
  })

  test('a Connection header that names the identity headers; Gatehouse drops it', async () => {
    const bytes = get(PATH, 'Connection: keep-alive, Impersonate-User, X-Remote-User\r\n')
    const peer = await byHttpProxy(bytes)
    expect(values(peer, 'connection')).toEqual(['keep-alive, Impersonate-User, X-Remote-User'])

    const own = await byGatehouse(bytes)
    expect(values(own, 'connection')).toEqual(['keep-alive'])
    expect(values(own, 'impersonate-user')).toEqual(['oidc:ada'])
  })
})

test('a Trailer header ends the process of http-proxy; Gatehouse drops it', async () => {
  const bytes = get(PATH, 'Trailer: X-A\r\n')
  const peer = await byHttpProxy(bytes)
  expect(peer.response).toBeUndefined()
  const { code, stderr } = await peer.program.ended
  expect(code).toBe(1)
  expect(stderr).toContain('ERR_HTTP_TRAILER_INVALID')

  const own = await byGatehouse(bytes)
  expect(own.response?.status).toBe(200)
  expect(values(own, 'trailer')).toEqual([])
  expect((await byGatehouse(get(PATH))).response?.status).toBe(200)
})

test.for<readonly [target: string, forwarded: string]>([
  ['/api/v1/namespaces/d//secrets', '/api/v1/namespaces/d/secrets'],
  ['/api/v1/namespaces/d/./secrets', '/api/v1/namespaces/d/./secrets'],
  ['/api/v1/namespaces/d/pods/../secrets', '/api/v1/namespaces/d/pods/../secrets'],
  ['/api/v1/namespaces/d/pods/%2e%2e/secrets', '/api/v1/namespaces/d/pods/%2e%2e/secrets'],
  ['/api/v1/namespaces/d/pods%2F..%2Fsecrets', '/api/v1/namespaces/d/pods%2F..%2Fsecrets'],
  ['/api/v1/namespaces/d\\secrets', '/api/v1/namespaces/d/secrets'],
  ['https://other/api/v1/secrets', '/api/v1/secrets'],
])(
  'the ambiguous target %s is forwarded by http-proxy as %s and refused by Gatehouse',
  async ([target, forwarded]) => {
    const peer = await byHttpProxy(get(target))
    expect(peer.response?.status).toBe(200)
    expect(peer.received.map(({ url }) => url)).toEqual([forwarded])

    const own = await byGatehouse(get(target))
    expect(own.response?.status).toBe(400)
    expect(own.received).toEqual([])
  },
)

describe('an upgrade that the API server', () => {
  const EARLY = 'GET /api/v1/secrets HTTP/1.1\r\nHost: api\r\n\r\n'
  const upgrade = (): string =>
    get(
      `${PATH}/p/exec?command=sh`,
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
    )

  test('switches to another protocol is joined by http-proxy and refused by Gatehouse', async () => {
    let seen = (): string => ''
    api.script = ({ take, bytes, write }) => {
      take()
      seen = bytes
      write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
    }
    const peer = await byHttpProxy(upgrade() + EARLY)
    expect(peer.response?.status).toBe(101)
    await expect.poll(() => seen()).toContain(EARLY)

    seen = () => ''
    const own = await byGatehouse(upgrade() + EARLY)
    expect(own.response?.status).toBe(502)
    await attack.settled()
    expect(own.received).toHaveLength(1)
    expect(seen()).not.toContain(EARLY)
  })

  test('refuses with a chunked body is relayed without its body by http-proxy, completely by Gatehouse', async () => {
    api.script = ({ write }) =>
      write('HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\r\noops\r\n0\r\n\r\n')
    const peer = await byHttpProxy(upgrade())
    expect(peer.response).toMatchObject({ status: 403, whole: false })
    expect(responseHeader(peer.response!, 'Transfer-Encoding')).toBe('chunked')

    const own = await byGatehouse(upgrade())
    expect(own.response).toMatchObject({ status: 403, whole: true, body: 'oops' })
  })
})
