/** Requests at the limits of target and header, and the refusals beyond: a client can always read them. */
import { request } from 'node:https'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { MAX_TARGET_LENGTH } from '../../src/request/target.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { headerFrames, SETTING, TYPE, windowUpdate, type Fields } from '../support/http2-frames.ts'

let attack: Attack

beforeAll(async () => {
  attack = await startAttack()
})

afterAll(() => attack.close())

const padded = (start: string, length: number): string =>
  `${start}${'a'.repeat(length - start.length)}`

const TARGETS = [
  ['a path', '/'],
  ['a watch', '/api/v1/pods?watch=true&labelSelector='],
  ['a command', '/api/v1/namespaces/default/pods/web/exec?command='],
] as const

describe('over HTTP/1.1', () => {
  test.for(TARGETS)(
    'a target of 128 KiB reaches the API server unchanged: %s',
    async ([, start]) => {
      const target = padded(start, MAX_TARGET_LENGTH)
      const { value, received } = await attack.watching(async () =>
        attack.send(`GET ${target} HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}\r\n`),
      )
      expect(value.response.status).toBe(200)
      expect(received.map(({ url }) => url)).toEqual([target])
    },
  )

  test('a longer target is refused with 400', async () => {
    const target = padded('/', MAX_TARGET_LENGTH + 1)
    const { value, received } = await attack.watching(async () =>
      attack.send(`GET ${target} HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}\r\n`),
    )
    expect(value.response.status).toBe(400)
    expect(value.response.body).toContain('it is longer than 131072 bytes')
    expect(received).toEqual([])
  })

  test.for([
    ['a target', padded('/', 250_000), {}],
    ['a target of a megabyte', padded('/', 1_000_000), {}],
    ['a field', '/version', { 'x-a': 'a'.repeat(900_000) }],
    [
      'many fields',
      '/version',
      Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`x-${i}`, 'a'])),
    ],
  ] as const)(
    'a client that sends %s too large reads the 431, each time',
    async ([, path, headers]) => {
      for (let i = 0; i < 10; i++) {
        const [status, body] = await new Promise<[number | undefined, string]>(
          (resolve, reject) => {
            const { port, ca } = attack.gatehouse
            const sent = request({ host: '127.0.0.1', port, ca, path, headers, agent: false })
            sent.on('error', reject)
            sent.on('response', (response) => {
              let text = ''
              response.on('data', (chunk: Buffer) => (text += chunk.toString()))
              response.on('end', () => resolve([response.statusCode, text]))
              response.on('error', reject)
            })
            sent.end()
          },
        )
        expect(status).toBe(431)
        expect(JSON.parse(body)).toMatchObject({
          reason: 'RequestHeaderFieldsTooLarge',
          code: 431,
          message: expect.stringContaining('or a token with fewer groups') as string,
        })
      }
    },
  )
})

describe('over HTTP/2', () => {
  async function send(fields: Fields) {
    // The fake API server sends the request back, which is more than the usual windows hold.
    const window = { [SETTING.INITIAL_WINDOW_SIZE]: 1_048_576 }
    const connection = await attack.connectHttp2({ settings: window })
    connection.send(windowUpdate(0, 1_048_576))
    await connection.until((frames) => frames.some(({ type }) => type === TYPE.SETTINGS))
    for (const one of headerFrames(1, fields)) connection.send(one)
    const response = await connection.response(1)
    connection.raw.destroy()
    return response
  }

  test.for(TARGETS)(
    'a target of 64 KiB reaches the API server unchanged: %s',
    async ([, start]) => {
      const target = padded(start, 65_536)
      const { value, received } = await attack.watching(async () =>
        send(await attack.fields(target)),
      )
      expect(value).toMatchObject({ status: 200, whole: true })
      expect(received.map(({ url }) => url)).toEqual([target])
    },
  )

  test('two fields of 60,000 bytes reach the API server', async () => {
    const fields: Fields = ['x-a', 'x-b'].map((name) => [name, 'a'.repeat(60_000)])
    const { value, received } = await attack.watching(async () =>
      send(await attack.fields('/version', fields)),
    )
    expect(value).toMatchObject({ status: 200, whole: true })
    expect(received).toHaveLength(1)
  })

  test('a longer field ends the session with an error code', async () => {
    const { value, received } = await attack.watching(async () =>
      send(await attack.fields(padded('/', 65_537))),
    )
    expect(value.goaway).toBe(9)
    expect(received).toEqual([])
  })
})
