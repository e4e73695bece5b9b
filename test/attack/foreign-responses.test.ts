/**
 * Responses that belong to another request. Over HTTP/1.1 only their order says whose they are: with one
 * too many, every later user of the connection would get another user's response. kube-apiserver returns
 * the Audit-ID of the request, which says it for certain.
 */
import { afterEach, describe, expect, test } from 'vitest'

import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import {
  headFrame,
  responseFrames,
  startHostileApiServer,
  type HostileApiServer,
} from '../support/hostile-api-server.ts'
import { RAW_OK, startRawApiServer, type RawApiServer } from '../support/raw-api-server.ts'
import { readResponse } from '../support/raw.ts'

const GET = '/api/v1/namespaces/d/configmaps/a'
const WATCH = '/api/v1/namespaces/d/configmaps?watch=1'
const EXEC = '/api/v1/namespaces/d/pods/p/exec?command=sh'
const PROXY = '/api/v1/namespaces/d/pods/p/proxy/'
const OTHER = '00000000-0000-4000-8000-000000000000'

let attack: Attack

afterEach(async () => {
  await attack.settled()
  await attack.expectNoSecretLeaked()
  await attack.close()
  await attack.api.close()
})

async function ask(path: string, more = ''): Promise<{ status: number | undefined; body: string }> {
  const connection = await attack.connect()
  connection.write(
    `GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}${more}Connection: ${
      more === '' ? 'close' : 'Upgrade'
    }\r\n\r\n`,
  )
  const { status, body } = await readResponse(connection)
  connection.destroy()
  return { status, body }
}

const withAuditID = (value: string): string =>
  RAW_OK.replace('Content-Type', `Audit-Id: ${value}\r\nContent-Type`)

describe('over the pool', () => {
  let api: RawApiServer

  async function start(): Promise<void> {
    api = await startRawApiServer()
    attack = await startAttack({
      api,
      configuration: { upstream: { connections: { maxConnections: 1 } } },
    })
  }

  test('a response with another Audit-ID is a 502, and its connection is never used again', async () => {
    await start()
    const connections: number[] = []
    api.script = ({ request, write }) => {
      connections.push(request.connection)
      write(connections.length === 1 ? withAuditID(OTHER) : RAW_OK)
    }
    const { status, body } = await ask(GET)
    expect(status).toBe(502)
    expect(JSON.parse(body)).toMatchObject({
      kind: 'Status',
      message: expect.stringContaining('the response to another request') as string,
    })
    expect(await ask(GET)).toEqual({ status: 200, body: '{}' })
    expect(connections[1]).not.toBe(connections[0])
  })

  test.for([
    ['is that of the request', (id: string) => id],
    ['is followed by another one', (id: string) => `${id}\r\nAudit-Id: ${OTHER}`],
  ] as const)('a response whose Audit-ID %s is forwarded', async ([, valueOf]) => {
    await start()
    api.script = ({ request, write }) =>
      write(withAuditID(valueOf(headerValues(request, 'audit-id')[0] ?? '')))
    expect(await ask(GET)).toEqual({ status: 200, body: '{}' })
  })

  test('a response whose first Audit-ID is another one is a 502', async () => {
    await start()
    api.script = ({ request, write }) =>
      write(withAuditID(`${OTHER}\r\nAudit-Id: ${headerValues(request, 'audit-id')[0] ?? ''}`))
    expect((await ask(GET)).status).toBe(502)
  })

  test('an upgrade that is granted or refused with another Audit-ID is a 502', async () => {
    await start()
    const upgrade = 'Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n'
    const switching =
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
      `X-Stream-Protocol-Version: v4.channel.k8s.io\r\nAudit-Id: ${OTHER}\r\n\r\n`
    const forbidden = `HTTP/1.1 403 Forbidden\r\nAudit-Id: ${OTHER}\r\nContent-Length: 2\r\n\r\n{}`
    const statuses: (number | undefined)[] = []
    for (const response of [switching, forbidden]) {
      api.script = ({ take, write }) => {
        take()
        write(response)
      }
      statuses.push((await ask(EXEC, upgrade)).status)
    }
    expect(statuses).toEqual([502, 502])
    // There the head is that of the backend, to which Gatehouse's Audit-ID means nothing.
    api.script = ({ take, write }) => {
      take()
      write(switching)
    }
    expect((await ask(PROXY, upgrade)).status).toBe(101)
  })
})

describe('over an HTTP/2 session', () => {
  let api: HostileApiServer

  test('a response with another Audit-ID is a 502, and the session is destroyed', async () => {
    api = await startHostileApiServer()
    attack = await startAttack({ api })
    api.onStream = (session, stream) => {
      const isFirst = session.number === 1
      if (isFirst && stream === 1) session.send(headFrame(stream, 200, []))
      else session.send(responseFrames(stream, '{}', isFirst ? [['audit-id', OTHER]] : []))
    }
    // Another watch on the same session: it ends as well, and its client reconnects.
    const other = await attack.connect()
    other.write(`GET ${WATCH} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`)
    await expect.poll(() => api.sessions.length).toBe(1)
    expect((await ask(WATCH)).status).toBe(502)
    await other.rest()
    await expect.poll(() => api.sessions[0]?.socket.destroyed).toBe(true)
    expect(await ask(WATCH)).toMatchObject({ status: 200 })
    expect(api.sessions).toHaveLength(2)
  })
})
