/**
 * A stream that a reload or a shutdown ends in the middle of a frame gets the rest of that frame, and then
 * the reason, if its format has room for it, and nothing more.
 */
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'

import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'

import { startApiServer, type ApiResponse, type ApiServer } from '../support/api-server.ts'
import { replaceFile } from '../support/files.ts'
import {
  ALLOW_ALL,
  startTestGatehouse,
  upstreamOf,
  type TestGatehouse,
} from '../support/gatehouse.ts'

const WATCH = '/api/v1/pods?watch=true'
const FORBIDDEN = {
  ...ALLOW_ALL,
  rules: [
    ...ALLOW_ALL.rules,
    {
      name: 'no-pods',
      effect: 'deny',
      verbs: ['*'],
      resources: [{ apiGroups: [''], resources: ['pods'] }],
    },
  ],
}

/** A frame in two halves, and the first half of the next one, as hexadecimal digits. */
const FRAMES = [
  ['application/json', '7b', '7d0a', '7b'],
  ['application/vnd.kubernetes.protobuf;stream=watch', '000000020a', '01', '00000009aa'],
  ['application/cbor-seq', 'a1616141', '01', 'a16161'],
] as const

let api: ApiServer
let gatehouse: TestGatehouse

beforeEach(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: { shutdown: { gracePeriod: '100ms' } },
  })
})

afterEach(async () => {
  await gatehouse.close()
  await api.close()
})

const CLIENTS = { 'HTTP/1.1': overHttp1, 'HTTP/2': overHttp2 } as const

async function overHttp1(authorization: string): Promise<Readable> {
  const sent = httpsRequest(gatehouse.url + WATCH, {
    ca: gatehouse.ca,
    agent: false,
    headers: { authorization },
  })
  sent.end()
  const [response] = (await once(sent, 'response')) as [Readable]
  return response
}

async function overHttp2(authorization: string): Promise<Readable> {
  const session = connectHttp2(gatehouse.url, { ca: gatehouse.ca })
  session.on('error', () => undefined)
  onTestFinished(() => session.destroy())
  const stream = session.request({ ':path': WATCH, authorization })
  await once(stream, 'response')
  return stream
}

/** Opens a watch of which half a frame has arrived. */
async function openWatch(protocol: keyof typeof CLIENTS, type: string, half: string) {
  let server: ApiResponse | undefined
  api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': type })
    response.write(Buffer.from(half, 'hex'))
    server = response
  }
  const stream = await CLIENTS[protocol](`Bearer ${await gatehouse.token()}`)
  let received = ''
  stream.on('data', (chunk: Buffer) => (received += chunk.toString('hex')))
  stream.on('error', () => undefined)
  await expect.poll(() => received).toBe(half)
  let ended = false
  stream.once('end', () => (ended = true))
  const closed = new Promise((resolve) => stream.once('close', resolve))
  return {
    send: (bytes: string) => server?.write(Buffer.from(bytes, 'hex')),
    /** What was received in all, and whether it ended properly. */
    end: async () => {
      await closed
      // node may emit `end` for a stream that was reset, too.
      return { received, ended: ended && ((stream as { rstCode?: number }).rstCode ?? 0) === 0 }
    },
  }
}

const CAUSES = { reload, shutdown } as const

async function reload(): Promise<void> {
  await replaceFile(gatehouse.file('rules.yaml'), stringify(FORBIDDEN))
  gatehouse.gatehouse.reload()
}

async function shutdown(): Promise<void> {
  void gatehouse.gatehouse.close()
  const message = 'ending the remaining streams'
  await expect.poll(() => gatehouse.log.some((line) => line.includes(message))).toBe(true)
}

describe.for(['reload', 'shutdown'] as const)('at a %s', (cause) => {
  describe.for(['HTTP/1.1', 'HTTP/2'] as const)('over %s', (protocol) => {
    test.for(FRAMES)('a watch in %s ends behind the frame that had begun', async (frames) => {
      const [type, half, rest, next] = frames
      const watch = await openWatch(protocol, type, half)
      await CAUSES[cause]()
      watch.send(rest + next)
      const { received, ended } = await watch.end()
      expect({ received: received.slice(0, (half + rest).length), ended }).toEqual({
        received: half + rest,
        ended: true,
      })
      const notice = Buffer.from(received.slice((half + rest).length), 'hex').toString()
      // After a shutdown, the client shall connect to another replica.
      const hasNotice = cause === 'reload' && type === 'application/json'
      expect(notice).toMatch(hasNotice ? /^\{"type":"ERROR","object":\{.*"code":403\}\}\n$/ : /^$/)
      const [event] = await gatehouse.eventsWhere(({ stage }) => stage === 'ResponseComplete')
      expect(event?.annotations).toMatchObject({ 'gatehouse/abortedBy': 'gatehouse' })
    })

    test.for(FRAMES)('a watch in %s breaks off if the rest does not come', async (frames) => {
      const [type, half] = frames
      const watch = await openWatch(protocol, type, half)
      await CAUSES[cause]()
      expect(await watch.end()).toEqual({ received: half, ended: false })
    })
  })
})
